"""ArrayPreset: preset `keshi` for images, and for windows of very many channels. What `presets` picks for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from keshi.errors import DomainError
from keshi.records.domain import Domain
from keshi.synthesis.array_basis import is_one_array
from keshi.synthesis.array_fit import fit_array_mixture
from keshi.synthesis.array_mixture import ArrayMixture
from keshi.synthesis.array_plan import (
    ArrayResolution,
    cells_plan,
    classes_plan,
    overview_plan,
    subspace_plan,
)
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding
from keshi.synthesis.reconstruction import LearningPoint, Progress


@dataclass(frozen=True)
class ArrayPreset:
    """Moments in a subspace, and a mixture of Gaussians with a map of contrast. For one image or window a record.

    Four measurements, each planned from the noisy ones before: `array_plan` says which, `array_fit` what becomes of
    them. There is nothing to train: the mixture is the measurements, in closed form.

    Attributes:
        resolution: How finely to look.
    """

    resolution: ArrayResolution = field(default_factory=ArrayResolution)
    name: str = "keshi"
    shares: tuple[float, ...] = (0.04, 0.26, 0.35, 0.35)

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan:
        """Overview, subspace, classes, cells."""
        if not is_one_array(domain):
            raise DomainError(
                f"{domain.source}: these measurements are of one image or window beside the label; use preset paper, "
                "or put other columns under ignore. Nothing was spent."
            )
        if not earlier:
            return overview_plan(domain)
        mu = earlier[0].mu * math.sqrt(self.shares[len(earlier)] / self.shares[0])
        if len(earlier) == 1:
            return subspace_plan(domain, earlier, mu=mu, resolution=self.resolution)
        if len(earlier) == 2:
            return classes_plan(domain, earlier, resolution=self.resolution)
        return cells_plan(domain, earlier, mu=mu, resolution=self.resolution)

    def train(
        self,
        embedding: PrivateEmbedding,
        *,
        start: object | None,
        seed: int,
        threads: int | None,
        device: str,
        progress: Progress | None,
    ) -> tuple[ArrayMixture, tuple[LearningPoint, ...]]:
        """The mixture, and a learning curve of one point: it is not trained in steps."""
        if start is not None:
            raise ValueError("a mixture of arrays is fitted at once and cannot go on; begin anew.")
        mixture = fit_array_mixture(embedding, seed=seed)
        return mixture, (LearningPoint(1, 0.0, 0.0, float(len(mixture.cell_classes))),)

    def with_steps(self, steps: int) -> ArrayPreset:
        """Refused: there are none."""
        raise ValueError("preset keshi fits images and windows at once, without steps; leave --steps out.")
