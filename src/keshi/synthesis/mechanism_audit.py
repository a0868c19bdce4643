"""Audit of the mechanism itself: run it on neighbouring tables, over and over, and see whether its promise holds.

Two parts. The checks (release_checks, noise_checks) look at what a release says and does; the trials give an attacker
that knows everything but one unit as many releases as time allows, and bound epsilon from below by its success. The
attack is the optimal one against Gaussian noise: the projection of the noisy vector on the difference of the two
worlds' sums, weighted by inverse noise variance.

No user's record is touched: the tables are made from the domain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi._validate import in_range, positive, positive_integer
from keshi.privacy.accounting import compose, delta_slack, epsilon_from_mu, grid_distance, slack_share
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.synthesis.claims import Claim, declared_scales, released
from keshi.synthesis.embedding import Planner
from keshi.synthesis.neighbours import neighbouring_tables
from keshi.synthesis.noise_checks import Check, NoiseTally
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.release_checks import release_checks, statement_check
from keshi.synthesis.repeated_plan import FixedPlans

TRIALS = 100_000
ALPHA = 1e-6
FREQUENCIES = (
    4  # of the plan in the trials: few, because every coordinate of every trial is drawn (15 microseconds)
)
_BASE_RECORDS = 24
_EXTREME_UNITS = 32
_WHOLE_PLAN_DRAWS = 3
_CHUNK = 2**17  # coordinates in one vectorised draw, some 2 seconds
_PILOT_SHARE = 0.05  # further trials that choose the attack's weights and thresholds, and are not counted
_MOST_PILOT = 5_000
_TRIAL_DELTA = (
    0.1  # of the throw-away ledger; N copies need N times the grid's slack, which no release of one has
)

Verdict = Literal["consistent", "violated", "inconclusive"]


class Bounds(Protocol):
    """What lower bounds on epsilon say, as far as an audit needs it."""

    @property
    def verdict(self) -> Verdict: ...


class BoundFunction(Protocol):
    """keshi.auditing.privacy_bounds.lower_bounds, or anything of its form."""

    def __call__(
        self,
        without: NDArray[np.float64],
        with_unit: NDArray[np.float64],
        *,
        epsilon: float,
        delta: float,
        alpha: float,
        pilot: int,
    ) -> Bounds: ...


@dataclass(frozen=True)
class MechanismAudit:
    """What an audit of a mechanism found.

    Attributes:
        epsilon, delta, unit: The claim.
        checks: Yes-or-no checks, in order.
        bounds: What the bound function made of the trials.
        reached: Part of the claimed mu that the worst pair of tables needs; the trials cannot prove more.
        coordinates: Noisy values in one trial.
        whole_coordinates: Noisy values in one release of the whole plan.
        seconds: How long it took.
    """

    epsilon: float
    delta: float
    unit: str
    checks: tuple[Check, ...]
    bounds: Any
    reached: float
    coordinates: int
    whole_coordinates: int
    seconds: float

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def verdict(self) -> Verdict:
        """ "violated" if a check failed or a bound exceeds the claim; else what the bounds say."""
        verdict: Verdict = self.bounds.verdict
        return "violated" if self.failed else verdict

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"verdict": self.verdict, **asdict(self)}


def audit_embedding(embedding: PrivateEmbedding, *, bound: BoundFunction, **options: Any) -> MechanismAudit:
    """Audit the mechanism that made an embedding: its plan, its domain, its claim. Options as in `audit_mechanism`.

    Where the domain was learnt, the claim is that of the embedding's own measurements; learning_audit has the rest.
    """
    embedding = _without_learning(embedding)
    statement = embedding.statement
    return audit_mechanism(
        embedding.domain,
        FixedPlans.of(embedding),
        epsilon=statement.epsilon,
        delta=statement.delta,
        unit=embedding.unit,
        bound=bound,
        made=embedding,
        **options,
    )


def audit_mechanism(
    domain: Domain,
    preset: Planner,
    *,
    epsilon: float,
    delta: float,
    unit: PrivacyUnit,
    bound: BoundFunction,
    trials: int = TRIALS,
    time_limit: float = 60.0,
    alpha: float = ALPHA,
    frequencies: int | None = FREQUENCIES,
    made: PrivateEmbedding | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MechanismAudit:
    """Run a mechanism on neighbouring tables made from its domain, and hold it against its claim.

    Args:
        domain, preset, epsilon, delta, unit: As for a release.
        bound: Turns the attack's statistics into lower bounds: keshi.auditing.privacy_bounds.lower_bounds.
        trials: Releases of each of two neighbouring worlds.
        time_limit: CPU seconds of trials after which no more begin (a busy machine makes as many); too few of them are
            "inconclusive". The checks before them have no limit, and one draw of trials is always made.
        alpha: Probability of a false alarm: of the bounds, and of each part of the checks.
        frequencies: The trials use the plan with at most so many frequencies, or marginals, its noise calibrated for
            them by the same code; None takes the whole plan, which is slow. The checks always see the whole plan.
        made: An embedding made by this plan, whose noise scales must be the ones that the plan needs.
        progress: Told the number of trials done and wanted.

    Raises:
        DomainError: if the domain has no columns to synthesize, or one of them is the subject's.
    """
    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    positive_integer("trials", trials)
    positive("time_limit", time_limit)
    started = time.perf_counter()
    # Made-up records spend from throw-away ledgers, never from the one that the data set has.
    domain = replace(domain, ledger=None, learned=None)  # learning_audit audits what that cost
    tables = neighbouring_tables(domain, rows=_BASE_RECORDS, extremes=_EXTREME_UNITS, unit=unit)
    unplanned = Claim(domain, FixedPlans((), (), ""), epsilon, delta, unit)
    first = released(
        tables.base,
        domain,
        preset,
        claim=unplanned,
        ledger=PrivacyLedger.in_memory(epsilon=epsilon, delta=delta),
    )
    whole = Claim(domain, FixedPlans.of(first), epsilon, delta, unit)
    small = whole
    if frequencies is not None:
        plans = whole.plans.cut(positive_integer("frequencies", frequencies))
        small = replace(whole, plans=plans) if plans.size < whole.plans.size else whole
    checks: list[Check] = []
    trial: _Trials | None = None
    try:
        pair = release_checks(whole, tables, found=checks)
        if made is not None:
            checks += [_saved_check(made, first), statement_check(whole, made, which="saved")]
        checks += _noise_of_whole_plan(whole, tables.base, declared_scales(first), alpha=alpha)
        if small is not whole:
            again: list[Check] = []
            pair = release_checks(small, tables, found=again)
            checks += [check for check in again if not check.passed]
        trial = _Trials(small, [tables.with_extreme(one) for one in pair], alpha=alpha)
        trial.run(trials, until=time.process_time() + time_limit, progress=progress)
        checks += trial.tally.checks(where="the plan in the trials")
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        # A release that breaks one promise (a value too many, say) may not fit the rest of the audit.
        if all(check.passed for check in checks):
            raise
        checks.append(Check("the audit ran to its end", False, f"{type(error).__name__}: {error}"))
    without, with_unit = trial.statistics() if trial is not None else (np.empty(0), np.empty(0))
    pilot = trial.pilot if trial is not None else 0
    bounds = bound(without, with_unit, epsilon=epsilon, delta=delta, alpha=alpha, pilot=pilot)
    return MechanismAudit(
        epsilon,
        delta,
        unit.describe(),
        tuple(checks),
        bounds,
        trial.reached if trial is not None else 0.0,
        small.plans.size,
        whole.plans.size,
        time.perf_counter() - started,
    )


def _without_learning(embedding: PrivateEmbedding) -> PrivateEmbedding:
    """The embedding with a statement of its own measurements alone."""
    whole = embedding.statement
    if embedding.domain.learned is None:
        return embedding
    mu = compose(measurement.mu for measurement in embedding.measurements)
    gaussian_delta = whole.delta - whole.delta_slack
    # rounded up, so that the scales it needs are not a step above those that were drawn with
    epsilon = epsilon_from_mu(mu, gaussian_delta) * (1.0 + 1e-7)
    delta = gaussian_delta / (1.0 - slack_share(epsilon))
    own = replace(
        whole,
        epsilon=epsilon,
        delta=delta,
        mu=mu,
        delta_slack=delta - gaussian_delta,
        measurements=tuple(measurement.plan.what for measurement in embedding.measurements),
    )
    return replace(embedding, domain=replace(embedding.domain, learned=None), statement=own)


class _Trials:
    """Releases of two worlds, N at a time, reduced to the attack's statistic as they come."""

    def __init__(self, claim: Claim, worlds: list[pd.DataFrame], *, alpha: float) -> None:
        self.claim = claim
        self.worlds = worlds
        self.sums = [claim.exact_sums(world) for world in worlds]
        self.scales = declared_scales(claim.release(worlds[0]))
        self.tally = NoiseTally(self.scales, alpha=alpha)
        self.shift = (self.sums[1] - self.sums[0]).astype(np.float64)
        self.weights: NDArray[np.float64] | None = None
        self.pilot = 0
        self.reached = float(np.linalg.norm(self.shift / self.scales)) / claim.mu
        self._found: list[list[NDArray[np.float64]]] = [[], []]

    def run(self, trials: int, *, until: float, progress: Callable[[int, int], None] | None) -> None:
        """Draw the pilot, then `trials` trials of each world up to a CPU time; one draw in any case."""
        most = max(1, _CHUNK // self.claim.plans.size)
        pilot = max(200, min(_MOST_PILOT, int(trials * _PILOT_SHARE)))
        noise = [self._draw(world, min(pilot, most)) for world in (0, 1)]
        self.pilot = len(noise[0])
        self._choose_weights()
        for world in (0, 1):
            self._reduce(world, noise[world])
        done = 0
        while done < trials and (not done or time.process_time() < until):
            copies = min(most, trials - done)
            for world in (0, 1):
                self._reduce(world, self._draw(world, copies))
            done += copies
            if progress is not None:
                progress(done, trials)

    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The attack's statistic in both worlds; about normal, with variance 1 and distance mu."""
        first, second = (np.concatenate([np.empty(0), *found]) for found in self._found)
        return first, second

    def _draw(self, world: int, copies: int) -> NDArray[np.int64]:
        noisy = draw_copies(self.claim, self.worlds[world], copies, scales=self.scales)
        self.tally.add(noisy - self.sums[world])
        return noisy

    def _choose_weights(self) -> None:
        # The variance is the one that is seen, not the declared one: a block without noise gets all the weight.
        variances = np.maximum(self.tally.variances(), (1e-6 * self.scales) ** 2)
        weights = self.shift / variances
        length = float(np.sqrt(weights**2 @ variances))
        self.weights = weights / length if length > 0 else weights

    def _reduce(self, world: int, noisy: NDArray[np.int64]) -> None:
        assert self.weights is not None  # run() chooses them first
        # Differences of integers first: they are exact, and the sums themselves are far larger than the noise.
        self._found[world].append((noisy - self.sums[0]).astype(np.float64) @ self.weights)


def draw_copies(
    claim: Claim, table: pd.DataFrame, copies: int, *, scales: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(copies, coordinates) independent releases of one table, through the real path, as many at a time as it takes.

    A release is refused where the grid of its noise costs more delta than the claim leaves room for. N copies cost N
    times that, so there is a largest N; at usual epsilons it is far above the size of a draw.
    """
    room = claim.delta * slack_share(claim.epsilon) / delta_slack(1.0, claim.epsilon) / len(claim.plans.plans)
    cost = grid_distance((1, scale) for scale in scales)
    most = max(1, min(_CHUNK // len(scales), int(room / cost)))
    counts = [most] * (copies // most) + ([copies % most] if copies % most else [])
    return np.concatenate([_draw_together(claim, table, count) for count in counts])


def _draw_together(claim: Claim, table: pd.DataFrame, copies: int) -> NDArray[np.int64]:
    ledger = PrivacyLedger.in_memory(epsilon=claim.epsilon, delta=max(claim.delta, _TRIAL_DELTA))
    embedding = released(table, claim.domain, claim.plans.repeated(copies), claim=claim, ledger=ledger)
    parts = []
    for measurement in embedding.measurements:
        ends = np.cumsum([block.size for block in measurement.plan.features])[:-1]
        parts += [part.reshape(copies, -1) for part in np.split(measurement.sums, ends)]
    return np.concatenate(parts, axis=1)


def _noise_of_whole_plan(
    claim: Claim, table: pd.DataFrame, scales: NDArray[np.float64], *, alpha: float
) -> list[Check]:
    tally = NoiseTally(scales, alpha=alpha)
    noisy = draw_copies(claim, table, _WHOLE_PLAN_DRAWS, scales=scales)
    tally.add(noisy - claim.exact_sums(table))
    return tally.checks(where="the whole plan")


def _saved_check(made: PrivateEmbedding, again: PrivateEmbedding) -> Check:
    """The scales in the saved embedding are no smaller than those that its plan and claim need."""
    name = "the saved noise scales are the ones that the claim needs"
    pairs = list(zip(made.measurements, again.measurements, strict=True))
    passed = all(
        len(old.scales) == len(new.scales) and np.all(np.asarray(old.scales) >= np.asarray(new.scales))
        for old, new in pairs
    )
    return Check(name, passed, f"{len(pairs)} measurements compared")
