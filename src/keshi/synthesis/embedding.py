"""From records to a PrivateEmbedding: sum the features of every shard exactly, merge, and go through the door once.

`embed_partial` and `merge` are the whole contract with a distributed engine; `measure` is the only caller of
privacy.mechanisms here. Records may be read once per measurement, and never again afterwards.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keshi.errors import DomainError
from keshi.privacy.accounting import mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import Block, noise_scales, release
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding, share_of_mu

Progress = Callable[[str, int], None]
"""Called with what is going on and the number of records read so far."""
RecordBatches = Callable[[], Iterable[EncodedBatch]]
"""Encoded records that can be read from the start as often as called."""


def slack_share(epsilon: float) -> float:
    """Part of delta kept back for the integer grid of the noise; a release that needs more is refused.

    What is needed grows as e^epsilon: at epsilon 20 a millionth refused the second measurement after the first was
    paid for. More than needed would be left over, and read as a remainder of the budget.
    """
    return min(1e-2, 1e-6 * math.exp(max(0.0, min(epsilon, 100.0) - 12.0)))


class Preset(Protocol):
    """What plans the measurements: from n, epsilon, the domain and earlier measurements only."""

    @property
    def name(self) -> str: ...

    @property
    def shares(self) -> tuple[float, ...]: ...

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan: ...


@dataclass(frozen=True, eq=False)
class Partial:
    """Exact sums over some shards of the records. Sensitive: it must not leave the owner's machines.

    Attributes:
        plan_hash: Which plan it follows.
        shards: The shards it covers; merging refuses one that comes twice.
        units: Number of units of privacy in it.
        sums: (plan.size,) int64.
    """

    plan_hash: str
    shards: frozenset[int]
    units: int
    sums: NDArray[np.int64]


def embed_partial(batches: Iterable[EncodedBatch], plan: Plan, *, shard: int = 0) -> Partial:
    """Sum the features of the records of one shard, where every record is a unit of its own."""
    sums = np.zeros(plan.size, dtype=np.int64)
    units = 0
    for batch in batches:
        ones = np.ones(len(batch))
        sums += np.concatenate([block.sums(batch, ones) for block in plan.features])
        units += len(batch)
    return Partial(plan.hash, frozenset({shard}), units, sums * WEIGHT)


def merge(partials: Iterable[Partial], *, shards: int) -> Partial:
    """Add the sums of all `shards` shards; in any order, with the same bits.

    Raises:
        ValueError: if a shard comes twice, is missing or unknown, or partials follow different plans.
    """
    merged: Partial | None = None
    for partial in partials:
        if merged is None:
            merged = partial
            continue
        double = merged.shards & partial.shards
        if double:
            raise ValueError(f"shard {min(double)} came twice; each may be counted once.")
        if merged.plan_hash != partial.plan_hash:
            raise ValueError("the partials follow different plans; embed every shard under one plan.")
        merged = Partial(
            merged.plan_hash,
            merged.shards | partial.shards,
            merged.units + partial.units,
            merged.sums + partial.sums,
        )
    if merged is not None and not merged.shards <= set(range(shards)):
        raise ValueError(
            f"shard {max(merged.shards)} is none of the {shards} expected, which are numbered from 0."
        )
    missing = set(range(shards)) - (merged.shards if merged else set())
    if merged is None or missing:
        raise ValueError(f"shards {sorted(missing)} of {shards} are missing.")
    return merged


def measure(
    total: Partial, plan: Plan, *, unit: PrivacyUnit, mu: float, ledger: PrivacyLedger, run: str, index: int
) -> Measurement:
    """Release the merged sums with noise: one Gaussian measurement of all blocks together."""
    if total.plan_hash != plan.hash:
        raise ValueError("the sums follow another plan.")
    blocks = [
        Block(block.kind, block.size, block.sensitivity(unit), share)
        for block, share in zip(plan.features, plan.shares, strict=True)
    ]
    sums = release(
        total.sums,
        blocks,
        mu=mu,
        ledger=ledger,
        run=run,
        index=index,
        what=plan.what,
        plan_hash=plan.hash,
    )
    return Measurement(plan, sums, noise_scales(blocks, mu), mu)


def embed(
    records: RecordBatches,
    domain: Domain,
    preset: Preset,
    *,
    epsilon: float,
    delta: float,
    unit: PrivacyUnit,
    ledger: PrivacyLedger | None = None,
    run: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PrivateEmbedding:
    """Read the records, once per measurement of the preset, into a PrivateEmbedding.

    Args:
        records: Encoded records; called once for each measurement.
        domain: Public knowledge of them.
        preset: Plans the measurements.
        epsilon, delta: What the whole embedding spends.
        unit: The unit of privacy.
        ledger: Where it is spent; without one, a throw-away ledger with exactly this budget.
        run: Name of the run in the ledger; resuming under the same name reuses what was measured.
        seed: Repeats the (public) choice of frequencies. It never reaches the noise.
        progress: Told how many records were read.

    Raises:
        BudgetError: if the ledger has less left than epsilon.
        DomainError: if the records contradict the domain; the first reading finds that, before anything is spent.
    """
    mu = mu_from_epsilon(epsilon, delta * (1.0 - slack_share(epsilon)))
    ledger = ledger or PrivacyLedger.in_memory(epsilon=epsilon, delta=delta)
    run = run or uuid.uuid4().hex
    measurements: list[Measurement] = []
    units = 0
    for index, part in enumerate(share_of_mu(mu, preset.shares)):
        plan = preset.plan(domain, tuple(measurements), seed=seed)
        total = embed_partial(_reported(records(), plan.what, progress), plan)
        units = total.units
        if unit.count_is_public and not units:  # only where the number of records is public may it show
            raise DomainError(f"there are no records, so no {unit.name} to replace; nothing was spent.")
        measurements.append(measure(total, plan, unit=unit, mu=part, ledger=ledger, run=run, index=index))
    statement = PrivacyStatement(
        epsilon=epsilon,
        delta=delta,
        unit=unit.describe(),
        mu=mu,
        delta_slack=delta * slack_share(epsilon),
        measurements=tuple(m.plan.what for m in measurements),
        remaining=ledger.remaining().epsilon,
        ledger=ledger.id,
        ledger_head=ledger.head,
        assumed_public=(
            "column names, types, bounds and categories as declared in domain.toml",
            *((f"the number of {unit.name}s",) if unit.count_is_public else ()),
        ),
    )
    return PrivateEmbedding(
        domain, unit, tuple(measurements), statement, preset.name, units if unit.count_is_public else None
    )


def _reported(
    batches: Iterable[EncodedBatch], what: str, progress: Progress | None
) -> Iterable[EncodedBatch]:
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if progress is not None:
            progress(what, seen)
