"""Plans for an audit: those of an earlier release, with fewer frequencies or marginals, or every block many times.

A block that is repeated N times passes through the same embed, the same door and the same ledger as the block itself,
and comes out as N independent releases of it from one vectorised draw. Its noise scale does not depend on N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.features import Features
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding


@dataclass(frozen=True, eq=False)
class RepeatedFeatures(Features):
    """A block `copies` times over; scale, sensitivity and name are those of the block."""

    block: Features
    copies: int

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.block.kind

    @property
    def size(self) -> int:
        return self.copies * self.block.size

    @property
    def norm(self) -> float:
        return self.block.norm

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.tile(self.block.sums(batch, weights), self.copies)

    def settings(self) -> dict[str, Any]:
        return {"copies": self.copies, **self.block.settings()}

    def tensors(self) -> dict[str, NDArray[Any]]:
        return self.block.tensors()

    def sensitivity(self, unit: PrivacyUnit) -> float:
        # of one copy: the copies stand for that many releases, each of which would be paid for by itself
        return self.block.sensitivity(unit)


@dataclass(frozen=True, eq=False)
class FixedPlans:
    """A preset whose plans are given; what one measurement finds cannot change the next.

    Attributes:
        plans: One for each measurement.
        shares: Part of mu^2 that each spends; they sum to 1.
        name: Of the preset that made the plans.
    """

    plans: tuple[Plan, ...]
    shares: tuple[float, ...]
    name: str

    @classmethod
    def of(cls, embedding: PrivateEmbedding) -> FixedPlans:
        """The plans and shares of a release."""
        squares = [measurement.mu**2 for measurement in embedding.measurements]
        plans = tuple(measurement.plan for measurement in embedding.measurements)
        return cls(plans, tuple(square / sum(squares) for square in squares), embedding.preset)

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan:
        """The next of the plans."""
        return self.plans[len(earlier)]

    @property
    def size(self) -> int:
        """Coordinates of all measurements together."""
        return sum(plan.size for plan in self.plans)

    def cut(self, most: int) -> FixedPlans:
        """The same plans with at most so many frequencies, or marginals; noise is then calibrated for these."""
        plans = tuple(
            replace(plan, features=tuple(block.cut(most) for block in plan.features)) for plan in self.plans
        )
        return replace(self, plans=plans)

    def repeated(self, copies: int) -> FixedPlans:
        """The same plans with every block `copies` times over."""
        plans = tuple(
            replace(plan, features=tuple(RepeatedFeatures(block, copies) for block in plan.features))
            for plan in self.plans
        )
        return replace(self, plans=plans)
