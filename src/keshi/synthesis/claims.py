"""Claim: a mechanism with what it promises, as an audit runs it. Every release goes the way of a user's release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.privacy import contribution
from keshi.privacy.accounting import mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis import synthesizer
from keshi.synthesis.embedding import Planner
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.partial_sums import Partial, embed_partial
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.repeated_plan import FixedPlans

RUN = "audit"


@dataclass(frozen=True, eq=False)
class Claim:
    """A mechanism and what it claims: everything an audit needs to run it.

    Attributes:
        domain: Of the tables.
        plans: What is measured.
        epsilon, delta, unit: The guarantee that is claimed.
    """

    domain: Domain
    plans: FixedPlans
    epsilon: float
    delta: float
    unit: PrivacyUnit

    @property
    def mu(self) -> float:
        return mu_from_epsilon(self.epsilon, self.delta)

    def release(self, table: pd.DataFrame, *, ledger: PrivacyLedger | None = None) -> PrivateEmbedding:
        """Release a table as a user does; by default from a throw-away ledger of exactly the claim."""
        ledger = ledger or PrivacyLedger.in_memory(epsilon=self.epsilon, delta=self.delta)
        return released(table, self.domain, self.plans, claim=self, ledger=ledger)

    def exact_sums(self, table: pd.DataFrame) -> NDArray[np.int64]:
        """(coordinates,) sums of all measurements without noise."""
        return np.concatenate([partial.sums for partial in self.partials(table)])

    def partials(self, table: pd.DataFrame) -> list[Partial]:
        """The exact sums of every measurement, weighed as a release weighs them."""
        batch = TableEncoder(self.domain, subject=self.unit.subject).encode(table)
        weights = self.weights(table)
        return [embed_partial([batch], plan, weights=weights) for plan in self.plans.plans]

    def weights(self, table: pd.DataFrame) -> NDArray[np.uint32] | None:
        """(rows,) weight of every record, by the code that weighs a user's; None where records are the units."""
        if self.unit.subject is None:
            return None
        identifiers = TableEncoder(self.domain, subject=self.unit.subject).subjects(table)
        with contribution.bound_contributions(
            [identifiers], unit_weight=WEIGHT, max_records=self.unit.max_records
        ) as bounded:
            return np.array(bounded.weights)  # a copy: the file behind them goes when the block is left


def released(
    table: pd.DataFrame, domain: Domain, preset: Planner, *, claim: Claim, ledger: PrivacyLedger
) -> PrivateEmbedding:
    """One run of the real path under the claim, with these measurements and this ledger."""
    return synthesizer.embed_table(
        table,
        domain,
        preset,
        epsilon=claim.epsilon,
        delta=claim.delta,
        unit=claim.unit,
        ledger=ledger,
        run=RUN,
    )


def declared_scales(embedding: PrivateEmbedding) -> NDArray[np.float64]:
    """(coordinates,) noise scale of every coordinate of all measurements."""
    return np.concatenate(
        [
            np.full(block.size, float(scale))
            for measurement in embedding.measurements
            for block, scale in zip(measurement.plan.features, measurement.scales, strict=True)
        ]
    )


def all_sums(embedding: PrivateEmbedding) -> NDArray[np.int64]:
    """(coordinates,) noisy sums of all measurements."""
    return np.concatenate([measurement.sums for measurement in embedding.measurements])
