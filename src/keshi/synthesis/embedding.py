"""From records to a PrivateEmbedding: sum their features exactly, and go through the door once per measurement.

`measure` is the only caller of privacy.mechanisms here. Records may be read once per measurement, and never again
afterwards.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from keshi.errors import BudgetError, DomainError
from keshi.privacy.accounting import compose, delta_slack, epsilon_from_mu, mu_from_epsilon, slack_share
from keshi.privacy.contribution import Contributions
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import Block, noise_scales, release
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.partial_sums import Partial, embed_partial
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding, share_of_mu

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
