"""From records to a PrivateEmbedding: sum the features of every shard exactly, merge, and go through the door once.

`embed_partial` and `merge` are the whole contract with a distributed engine; `measure` is the only caller of
privacy.mechanisms here. Records may be read once per measurement, and never again afterwards.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keshi.errors import BudgetError, DomainError
from keshi.privacy.accounting import compose, delta_slack, epsilon_from_mu, mu_from_epsilon, slack_share
from keshi.privacy.contribution import Contributions
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import Block, noise_scales, release
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding, share_of_mu

LARGEST_BATCH = 2**16  # records: 2^16 of at most AMPLITUDE * WEIGHT = 2^34 each stay below 2^53
MOST_RECORDS = 2**27  # records of at most 2^34 each, so that sums stay below 2^62
Progress = Callable[[str, int], None]
"""Called with what is going on and the number of records read so far."""
RecordBatches = Callable[[], Iterable[EncodedBatch]]
"""Encoded records that can be read from the start as often as called."""


class Planner(Protocol):
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
        rows: Number of records in it.
        by_subject: Whether the records were weighed by subject.
        sums: (plan.size,) int64.
    """

    plan_hash: str
    shards: frozenset[int]
    rows: int
    by_subject: bool
    sums: NDArray[np.int64]


def embed_partial(
    batches: Iterable[EncodedBatch],
    plan: Plan,
    *,
    shard: int = 0,
    weights: NDArray[np.uint32] | None = None,
) -> Partial:
    """Sum the features of the records of one shard.

    Args:
        batches: The records.
        plan: What to sum.
        shard: Number of the shard.
        weights: (rows,) weight of each record of this shard, as `privacy.contribution` gives them; None where
            every record is a unit of its own and weighs WEIGHT.
    """
    sums = np.zeros(plan.size, dtype=np.int64)
    rows = 0
    for batch in _sliced(batches):
        _check_bounded(batch, plan)
        if rows + len(batch) > MOST_RECORDS:
            raise ValueError(f"more than {MOST_RECORDS:,} records: their sums would not fit 64-bit integers.")
        if weights is None:
            own = np.ones(len(batch))
        else:
            own = weights[rows : rows + len(batch)].astype(np.float64)
            if len(own) < len(batch):
                raise ValueError(
                    "there are more records than weights; the records changed between two readings."
                )
        sums += np.concatenate([block.sums(batch, own) for block in plan.features])
        rows += len(batch)
    if weights is not None and rows != len(weights):
        raise ValueError("there are fewer records than weights; the records changed between two readings.")
    return Partial(
        plan.hash, frozenset({shard}), rows, weights is not None, sums * WEIGHT if weights is None else sums
    )


def _check_bounded(batch: EncodedBatch, plan: Plan) -> None:
    """The sensitivity is that of records as an encoder makes them; anything else must not be summed."""
    if batch.vectors.ndim != 2 or batch.classes.shape != (len(batch),):
        raise ValueError(
            "every record has one vector and one class: expected shapes (n, width) and (n,), got "
            f"{batch.vectors.shape} and {batch.classes.shape}."
        )
    steps = batch.vectors * 2.0**FEATURE_BITS
    if not (np.abs(batch.vectors) <= 1.0).all() or not np.array_equal(steps, np.rint(steps)):
        raise ValueError(
            "encoded records must lie in [-1, 1], on the grid of 2^-20; encode them with an encoder."
        )
    classes = min((getattr(block, "n_classes", 2**62) for block in plan.features), default=2**62)
    if len(batch) and not (batch.classes.min() >= 0 and batch.classes.max() < classes):
        raise ValueError(f"classes must be 0 or more, and lie below {classes}.")


def _sliced(batches: Iterable[EncodedBatch]) -> Iterator[EncodedBatch]:
    """The same records, at most LARGEST_BATCH at a time: so many weighted features sum exactly in a float64."""
    for batch in batches:
        for start in range(0, len(batch), LARGEST_BATCH):
            rows = slice(start, start + LARGEST_BATCH)
            yield EncodedBatch(batch.vectors[rows], batch.classes[rows])


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
        if merged.by_subject != partial.by_subject:
            raise ValueError("some shards were weighed by subject and some were not; weigh all or none.")
        if merged.rows + partial.rows > MOST_RECORDS:
            raise ValueError(f"more than {MOST_RECORDS:,} records: their sums would not fit 64-bit integers.")
        merged = Partial(
            merged.plan_hash,
            merged.shards | partial.shards,
            merged.rows + partial.rows,
            merged.by_subject,
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
    total: Partial,
    plan: Plan,
    *,
    unit: PrivacyUnit,
    mu: float,
    ledger: PrivacyLedger,
    run: str,
    index: int,
    largest_distance: float = 1e-12,
    outstanding: float | None = None,
) -> Measurement:
    """Release the merged sums with noise: one Gaussian measurement of all blocks together."""
    if total.plan_hash != plan.hash:
        raise ValueError("the sums follow another plan.")
    if total.by_subject is (unit.subject is None):
        raise ValueError("records are weighed by subject exactly where the unit of privacy is a subject.")
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
        unit=unit,
        largest_distance=largest_distance,
        outstanding=outstanding,
    )
    return Measurement(plan, sums, noise_scales(blocks, mu), mu)


def embed(
    records: RecordBatches,
    domain: Domain,
    preset: Planner,
    *,
    epsilon: float,
    delta: float,
    unit: PrivacyUnit,
    contributions: Contributions | None = None,
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
        contributions: Weight of each record, where the unit is a subject.
        ledger: Where it is spent: the one that the domain names, if it does; without one, a throw-away ledger with
            exactly this budget.
        run: Name of the run in the ledger; resuming under the same name reuses what was measured.
        seed: Repeats the (public) choice of frequencies. It never reaches the noise.
        progress: Told how many records were read.

    Raises:
        BudgetError: if the ledger has less left than epsilon; nothing is spent then.
        DomainError: if the records contradict the domain; the first reading finds that, before anything is spent.
    """
    mu = mu_from_epsilon(epsilon, delta * (1.0 - slack_share(epsilon)))
    # What the grid of the noise may add to delta, as a total variation: see accounting.delta_slack.
    room = delta * slack_share(epsilon) / delta_slack(1.0, epsilon)
    kept = ledger is not None
    if domain.ledger is not None and (ledger is None or ledger.id != domain.ledger):
        raise BudgetError(
            f"{domain.source} names the ledger {domain.ledger}, and {'none' if ledger is None else ledger.id} was "
            "given; open the right one with PrivacyLedger.open(path), or give --ledger."
        )
    if domain.learned is not None and domain.learned.unit != unit.describe():
        raise DomainError(
            f"{domain.source} was learnt for {domain.learned.unit}, and the embedding is asked for {unit.describe()}: "
            "together they would guarantee neither. Use one unit and relation, or declare the domain."
        )
    if domain.learned is not None and ledger is not None and domain.learned.ledger != ledger.id:
        raise BudgetError(
            f"{domain.source} was learnt, and ledger {ledger.id} does not have that among its spends. Create the "
            "ledger of a learnt domain with `keshi ledger create`, which books it."
        )
    ledger = ledger or PrivacyLedger.in_memory(epsilon=epsilon, delta=delta)
    run = run or uuid.uuid4().hex
    measurements: list[Measurement] = []
    if contributions is not None and contributions.unit_weight != WEIGHT:
        raise ValueError(
            f"a subject must weigh {WEIGHT}, as in privacy.contribution, got {contributions.unit_weight}."
        )
    if not math.isclose(math.fsum(preset.shares), 1.0, abs_tol=1e-9) or min(preset.shares) <= 0:
        raise ValueError(f"a preset's shares of mu^2 must be positive and sum to 1, got {preset.shares}.")
    units = 0
    parts = share_of_mu(mu, preset.shares)
    for index, part in enumerate(parts):
        plan = preset.plan(domain, tuple(measurements), seed=seed)
        weights = None if contributions is None else contributions.weights
        total = embed_partial(_reported(records(), plan.what, progress), plan, weights=weights)
        units = total.rows if contributions is None else contributions.subjects
        if unit.count_is_public and not units:  # only where the number of units is public may it show
            raise DomainError(f"there are no records, so no {unit.name} to replace; nothing was spent.")
        measurements.append(
            measure(
                total,
                plan,
                unit=unit,
                mu=part,
                ledger=ledger,
                run=run,
                index=index,
                largest_distance=room / len(preset.shares),
                outstanding=math.hypot(*parts[index:]),
            )
        )
    statement = _statement(
        domain,
        unit,
        tuple(m.plan.what for m in measurements),
        mu=mu,
        epsilon=epsilon,
        delta=delta,
        ledger=ledger if kept else None,
        remaining=ledger.remaining().epsilon,
    )
    return PrivateEmbedding(
        domain, unit, tuple(measurements), statement, preset.name, units if unit.count_is_public else None
    )


def _statement(
    domain: Domain,
    unit: PrivacyUnit,
    measurements: tuple[str, ...],
    *,
    mu: float,
    epsilon: float,
    delta: float,
    ledger: PrivacyLedger | None,
    remaining: float,
) -> PrivacyStatement:
    """The guarantee of everything in a release: of the embedding, and of the domain where that was learnt.

    The Gaussian parts compose in mu; what grids and thresholds take of delta adds up, at the epsilon of the whole.
    """
    gaussian_delta = delta * (1.0 - slack_share(epsilon))
    slack = delta - gaussian_delta
    known = "column names, types, bounds, bins and categories as declared in domain.toml"
    learned = domain.learned
    if learned is not None:
        mu = compose([mu, learned.mu])
        whole = epsilon_from_mu(mu, gaussian_delta)
        slack = slack * delta_slack(1.0, whole) / delta_slack(1.0, epsilon) + learned.delta_at(whole)
        epsilon, delta = whole, gaussian_delta + slack
        measurements = ("learned domain", *measurements)
        known = (
            "column names and types; the bounds, bins and categories were learnt, which this statement counts"
        )
    if domain.constraints or domain.identifiers:
        known += "; its constraints and the names of its identifiers"
    return PrivacyStatement(
        epsilon=epsilon,
        delta=delta,
        unit=unit.describe(),
        mu=mu,
        delta_slack=slack,
        measurements=measurements,
        remaining=remaining,
        ledger=ledger.id if ledger is not None else "",
        ledger_head=ledger.head if ledger is not None else "",
        assumed_public=(known, *((f"the number of {unit.name}s",) if unit.count_is_public else ())),
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
