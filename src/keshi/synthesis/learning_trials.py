"""Releases of a small learning over and over: histograms and thresholded counts of two neighbouring worlds.

A block that is repeated N times passes through the functions that learn a user's domain, once, and comes out as N
independent releases from one vectorised draw. Its noise scale does not depend on N: a ladder N times as long is
still one column, and thresholded counts have the scale and the threshold of the values that one record holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.privacy import learned_domain
from keshi.privacy.histograms import Ladder
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT, Key
from keshi.privacy.unit import PrivacyUnit
from keshi.synthesis.noise_checks import NoiseTally

FREQUENT_COLUMNS = (
    3  # text columns in which the unit holds a value that many hold; then one new, one borderline
)
_SMALL_LADDER = Ladder("number", np.arange(5.0), 2)
_BASE_RECORDS = 50  # in each coarse cell of the small ladder
_CHUNK = 2**17  # coordinates in one vectorised draw, some 2 seconds
_PILOT_SHARE = 0.05  # further trials that choose the attack's weights and thresholds, and are not counted
_MOST_PILOT = 5_000
_SURE = 10.0  # noise scales above the threshold: a value that is always published
_SIGNIFICANT = (
    5.0  # standard errors by which the pilot must see a value more often in one world than in the other
)
_TRIAL_DELTA = (
    0.1  # of the throw-away ledger; N copies need N times the grid's slack, which no release of one has
)


@dataclass(frozen=True, eq=False)
class RepeatedLadder(Ladder):
    """A ladder `copies` times over, as one column; between two copies of the fine cells lie `parts` empty ones.

    The empty ones make its number of cells fit that of any ladder: coarse cells, then one for missing values.
    """

    copies: int = 1

    @property
    def cells(self) -> int:
        return self.copies * (super().cells + 1) - 1

    def count(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        counted = Ladder(self.kind, self.edges, self.parts).count(values)
        one = super().cells + 1
        fine = np.append(counted[one:], np.zeros(self.parts, dtype=np.int64))
        return np.concatenate(
            [np.tile(counted[:one], self.copies), np.tile(fine, self.copies)[: -self.parts]]
        )


@dataclass(frozen=True)
class SmallPlan:
    """What the trials release, paid for as the whole plan was.

    Attributes:
        epsilon: The claim.
        unit: Whom it protects.
        mu_bounds, mu_lists: What the histograms and the thresholded counts spend; 0 where there are none.
        delta_threshold: What the threshold spends.
    """

    epsilon: float
    unit: PrivacyUnit
    mu_bounds: float
    mu_lists: float
    delta_threshold: float

    @property
    def touched(self) -> int:
        """Text columns."""
        return FREQUENT_COLUMNS + 2 if self.mu_lists else 0

    @property
    def scale(self) -> int:
        """Noise scale of the thresholded counts, in grid steps."""
        return learned_domain.threshold_scale(touched=self.touched, unit=self.unit, mu=self.mu_lists)

    @property
    def smallest(self) -> int:
        return learned_domain.smallest_candidate(self.scale)

    @property
    def sides(self) -> int:
        """How many of the two worlds hold a unit that the other lacks."""
        return 1 if self.unit.relation == "add-or-remove" else 2

    def ledger(self) -> PrivacyLedger:
        """A throw-away ledger for one draw."""
        return PrivacyLedger.in_memory(
            epsilon=self.epsilon, delta=max(_TRIAL_DELTA, 2 * self.delta_threshold)
        )


class LearningTrials:
    """Trials of both worlds, reduced to the attack's statistic as they come.

    In world 1 one unit is there that world 0 lacks (or has in another form). In every text column it brings a value:
    three that many hold, one that is a candidate with it and none without, one that it lifts over the threshold.
    """

    def __init__(self, plan: SmallPlan, *, alpha: float) -> None:
        self.plan = plan
        self.sure, self.doubtful = (self._keys(sure=sure) for sure in (True, False))
        exact = [self._exact(world) for world in (0, 1)]
        self.sums = exact
        self.scales = self._declared()
        self.tally = NoiseTally(self.scales, alpha=alpha)
        self.shift = (exact[1] - exact[0]).astype(np.float64)
        self.pilot = 0
        self.weights: NDArray[np.float64] | None = None
        self.evidence = np.zeros((2, len(self.doubtful)))  # log-likelihood ratio of hidden, published
        self._found: list[list[NDArray[np.float64]]] = [[], []]

    @property
    def coordinates(self) -> int:
        """Noisy values in one trial."""
        return len(self.scales) + len(self.doubtful)

    @property
    def reached(self) -> float:
        """mu that telling the two worlds apart needs, values that may be hidden not counted."""
        return float(np.linalg.norm(self.shift / self.scales))

    def run(self, trials: int, *, until: float, progress: Callable[[int, int], None] | None) -> None:
        """Draw the pilot, then `trials` trials of each world up to a CPU time; one draw in any case."""
        most = max(1, _CHUNK // self.coordinates)
        self.pilot = min(most, max(200, min(_MOST_PILOT, int(trials * _PILOT_SHARE))))
        pilot = [self._draw(world, self.pilot) for world in (0, 1)]
        self._choose(pilot)
        for world in (0, 1):
            self._reduce(world, *pilot[world])
        done = 0
        while done < trials and (not done or time.process_time() < until):
            copies = min(most, trials - done)
            for world in (0, 1):
                self._reduce(world, *self._draw(world, copies))
            done += copies
            if progress is not None:
                progress(done, trials)

    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The attack's statistic in both worlds."""
        first, second = (np.concatenate([np.empty(0), *found]) for found in self._found)
        return first, second

    def _keys(self, *, sure: bool) -> list[tuple[str, str]]:
        """(column, value) of the texts; under replace-one the unit has another value in each world."""
        if not self.plan.touched:
            return []
        names = [f"frequent {i}" for i in range(FREQUENT_COLUMNS)] if sure else ["new", "borderline"]
        return [(name, value) for name in names for value in "ab"[: self.plan.sides]]

    def _numbers(self, world: int) -> NDArray[np.float64]:
        base = np.repeat([0.5, 2.5], _BASE_RECORDS)
        brought = (0.5,) if world == 1 else (3.5,) if self.plan.sides == 2 else ()
        return np.append(base, brought)

    def _count(self, key: tuple[str, str], world: int) -> int:
        """How many records of a world hold a text."""
        plan = self.plan
        least = learned_domain.threshold(
            plan.scale,
            touched=plan.touched,
            smallest=plan.smallest,
            unit=plan.unit,
            delta_threshold=plan.delta_threshold,
        )
        name, value = key
        brought = int(world == 1) if value == "a" else int(world == 0)
        if name == "new":
            return plan.smallest - 1 + brought
        at_least = math.ceil(least / COUNT)
        if name == "borderline":
            return at_least - 1 + brought
        return at_least + math.ceil(_SURE * plan.scale / COUNT) + brought

    def _exact(self, world: int) -> NDArray[np.int64]:
        """(coordinates,) exact sums of what is always published, in grid steps."""
        numbers = _SMALL_LADDER.count(self._numbers(world)) if self.plan.mu_bounds else np.empty(0, np.int64)
        texts = np.array([self._count(key, world) for key in self.sure], dtype=np.int64)
        return np.concatenate([numbers, texts]) * COUNT

    def _declared(self) -> NDArray[np.float64]:
        scales = []
        if self.plan.mu_bounds:
            histogram = self._histogram(_SMALL_LADDER, world=0)
            cells, fine = _SMALL_LADDER.cells + 1, len(_SMALL_LADDER.edges) - 1
            scales += [
                np.full(cells, histogram.coarse_std * COUNT),
                np.full(fine, histogram.fine_std * COUNT),
            ]
        if self.plan.mu_lists:
            scales.append(np.full(len(self.sure), float(self.plan.scale)))
        return np.concatenate(scales)

    def _histogram(self, steps: Ladder, *, world: int) -> learned_domain.NoisyHistogram:
        return learned_domain.measure_histograms(
            {"x": steps.count(self._numbers(world))},
            {"x": steps},
            unit=self.plan.unit,
            mu=self.plan.mu_bounds,
            ledger=self.plan.ledger(),
            run="audit",
            index=0,
            what="bounds",
            plan_hash="audit",
        )["x"]

    def _draw(self, world: int, copies: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(copies, coordinates) noisy sums of what is always published, (copies, doubtful) what else was published."""
        parts = []
        if self.plan.mu_bounds:
            steps = RepeatedLadder(_SMALL_LADDER.kind, _SMALL_LADDER.edges, _SMALL_LADDER.parts, copies)
            found = self._histogram(steps, world=world)
            coarse = np.append(found.coarse, found.missing).reshape(copies, -1)
            fine = np.append(found.fine, np.zeros(steps.parts)).reshape(copies, -1)[:, : -steps.parts]
            parts.append(np.rint(np.hstack([coarse, fine]) * COUNT).astype(np.int64))
        published = np.zeros((copies, len(self.doubtful)), dtype=bool)
        if self.plan.mu_lists:
            noisy, published = self._texts(world, copies)
            parts.append(noisy)
        sums = np.hstack(parts)
        self.tally.add(np.ascontiguousarray(sums - self.sums[world]))
        return sums, published

    def _texts(self, world: int, copies: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        counts: dict[Key, int] = {}
        for name, value in [*self.sure, *self.doubtful]:
            count = self._count((name, value), world)
            counts.update({(name, f"{copy} {value}"): count for copy in range(copies)})
        released = learned_domain.release_above_threshold(
            counts,
            touched=self.plan.touched,
            smallest=self.plan.smallest,
            unit=self.plan.unit,
            mu=self.plan.mu_lists,
            delta_threshold=self.plan.delta_threshold,
            ledger=self.plan.ledger(),
            run="audit",
            index=0,
            what="categories",
            plan_hash="audit",
        )
        sure = {key: i for i, key in enumerate(self.sure)}
        doubtful = {key: i for i, key in enumerate(self.doubtful)}
        noisy = np.tile(self.sums[world][len(self.sums[world]) - len(sure) :], (copies, 1))
        published = np.zeros((copies, len(doubtful)), dtype=bool)
        for (name, text), steps in released.items():
            copy, value = str(text).split(" ")
            if (name, value) in sure:
                noisy[int(copy), sure[name, value]] = steps
            else:
                published[int(copy), doubtful[name, value]] = True
        return noisy, published

    def _choose(self, pilot: list[tuple[NDArray[np.int64], NDArray[np.bool_]]]) -> None:
        """Weights of the noisy sums, and what a published value is evidence of; from the pilot alone."""
        variances = np.maximum(self.tally.variances(), (1e-6 * self.scales) ** 2)  # as seen, not as declared
        weights = self.shift / variances
        length = float(np.sqrt(weights**2 @ variances))
        self.weights = weights / length if length > 0 else weights
        seen = [published.sum(axis=0) for _, published in pilot]
        rates = [(count + 0.5) / (self.pilot + 1.0) for count in seen]
        middle = (rates[0] + rates[1]) / 2.0
        errors = np.sqrt(2.0 * middle * (1.0 - middle) / self.pilot)
        clear = np.abs(rates[1] - rates[0]) > _SIGNIFICANT * errors
        ratios = np.log([(1.0 - rates[1]) / (1.0 - rates[0]), rates[1] / rates[0]])
        # the statistic of the sums is a log-likelihood ratio divided by mu, but for a constant
        self.evidence = np.where(clear, ratios, 0.0) / max(length, 0.01)

    def _reduce(self, world: int, noisy: NDArray[np.int64], published: NDArray[np.bool_]) -> None:
        assert self.weights is not None  # run() chooses them first
        # Differences of integers first: they are exact, and the sums themselves are far larger than the noise.
        statistic = (noisy - self.sums[0]).astype(np.float64) @ self.weights
        statistic += np.where(published, self.evidence[1], self.evidence[0]).sum(axis=1)
        self._found[world].append(statistic)
