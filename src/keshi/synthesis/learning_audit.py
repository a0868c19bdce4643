"""Audit of learning a domain: run it on made-up neighbouring files, over and over, and see whether its promise holds.

As in mechanism_audit: checks of whole runs of learn_domain, with the columns that the domain has, and trials of a
small plan through the functions that learn, for an attacker that knows everything but one unit. What it sees is all
that is published: noisy histograms, and which values stand in the category lists, with their noisy counts.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi._validate import in_range, positive, positive_integer
from keshi.errors import DomainError
from keshi.privacy import learned_domain
from keshi.privacy.accounting import compose, delta_from_mu
from keshi.privacy.learned_domain import LearnedDomain
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT, Key
from keshi.synthesis.learning_claim import LearningClaim
from keshi.synthesis.learning_files import EXTREMES, write_neighbour
from keshi.synthesis.learning_trials import LearningTrials, SmallPlan
from keshi.synthesis.mechanism_audit import ALPHA, TRIALS, BoundFunction, MechanismAudit
from keshi.synthesis.noise_checks import Check, NoiseTally

_RUN = "audit"
_DRAWS = 3  # of the whole plan
_RARE_NAMES = 10_000  # values of as few records as a candidate has
_LARGE_DELTA = 0.2  # at which some of them must be published, so that too many would show
_ROUNDING = 1e-9  # relative
_SLIGHT_THRESHOLD = 1e-4  # a larger delta of the threshold would blur the bound for Gaussian noise


def audit_learning(
    claim: LearningClaim,
    *,
    bound: BoundFunction,
    trials: int = TRIALS,
    time_limit: float = 60.0,
    alpha: float = ALPHA,
    progress: Callable[[int, int], None] | None = None,
) -> MechanismAudit:
    """Learn domains of files made from the claim's types, and hold what comes out against the claim.

    Args:
        claim: What is learnt, and what is promised.
        bound, trials, time_limit, alpha, progress: As in `mechanism_audit.audit_mechanism`.
    """
    positive("epsilon", claim.epsilon)
    in_range("delta", claim.delta, 0.0, 1.0, open_ends=True)
    positive_integer("trials", trials)
    positive("time_limit", time_limit)
    started = time.perf_counter()
    checks: list[Check] = []
    trial: LearningTrials | None = None
    reached, whole = 0.0, 0
    delta_threshold = 0.0
    try:
        with tempfile.TemporaryDirectory(prefix="keshi-audit-") as folder:
            runs = _Runs(claim, Path(folder))
            whole = len(runs.scales)
            delta_threshold = runs.delta_threshold
            # one after the other, so that those before a failure are kept
            checks.extend(
                check()
                for check in (
                    runs.cost_check,
                    runs.distance_check,
                    runs.interference_check,
                    runs.rare_values_check,
                )
            )
            checks += runs.noise_checks(alpha=alpha)
        if any(runs.mus):
            plan = SmallPlan(claim.epsilon, claim.unit, runs.mus[0], runs.mus[1], delta_threshold)
            trial = LearningTrials(plan, alpha=alpha)
            reached = trial.reached / learned_domain.mu_from_epsilon(claim.epsilon, claim.delta)
            trial.run(trials, until=time.process_time() + time_limit, progress=progress)
            checks += trial.tally.checks(where="the plan in the trials")
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        # A learning that breaks one promise may not fit the rest of the audit.
        if all(check.passed for check in checks):
            raise
        checks.append(Check("the audit ran to its end", False, f"{type(error).__name__}: {error}"))
    without, with_unit = trial.statistics() if trial is not None else (np.empty(0), np.empty(0))
    options: dict[str, Any] = {} if delta_threshold < _SLIGHT_THRESHOLD else {"gaussian": False}
    bounds = bound(
        without,
        with_unit,
        epsilon=claim.epsilon,
        delta=claim.delta,
        alpha=alpha,
        pilot=trial.pilot if trial is not None else 0,
        **options,
    )
    return MechanismAudit(
        claim.epsilon,
        claim.delta,
        claim.unit.describe(),
        tuple(checks),
        bounds,
        reached,
        trial.coordinates if trial is not None else 0,
        whole,
        time.perf_counter() - started,
    )


class _Runs:
    """Whole runs of learn_domain on neighbouring files that follow the claim's types."""

    def __init__(self, claim: LearningClaim, folder: Path) -> None:
        self.claim = claim
        self.folder = folder
        self.ledger = PrivacyLedger.in_memory(epsilon=claim.epsilon, delta=claim.delta)
        # First on few records, only to see what is spent: how many make a value frequent depends on it.
        self.rows = 8
        with suppress(
            DomainError
        ):  # not one value may be frequent enough; what was spent is in the ledger all the same
            self._learn(None, self.ledger)
        spends = {e.fields["index"]: e.fields for e in self.ledger.entries() if e.kind == "spend"}
        self.mus = tuple(float(spends.get(index, {}).get("mu", 0.0)) for index in (0, 1))
        self.spends = list(spends.values())
        self.recorded = math.fsum(fields.get("delta_threshold", 0.0) for fields in self.spends)
        usual = (
            claim.delta * learned_domain.THRESHOLD_SHARE
        )  # a ledger without it fails a check, not the audit
        self.delta_threshold = (self.recorded or usual) if self.mus[1] else 0.0
        if self.mus[1]:
            least = learned_domain.threshold(
                self.text_scale,
                touched=len(claim.texts),
                smallest=learned_domain.smallest_candidate(self.text_scale),
                unit=claim.unit,
                delta_threshold=self.delta_threshold,
            )
            self.rows = math.ceil((least + 10 * self.text_scale) / COUNT)
        self.ledger = PrivacyLedger.in_memory(epsilon=claim.epsilon, delta=claim.delta)
        self.learned = self._learn(None, self.ledger)
        self.numbers = [name for name, kind in claim.types.items() if name in self.learned.histograms]

    @cached_property
    def text_scale(self) -> int:
        """Noise scale of the thresholded counts, in grid steps."""
        return learned_domain.threshold_scale(
            touched=len(self.claim.texts), unit=self.claim.unit, mu=self.mus[1]
        )

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """(coordinates,) declared noise scales: histograms, then every text that occurs in any file."""
        parts = []
        for name in self.numbers:
            found = self.learned.histograms[name]
            parts.append(np.full(len(found.coarse) + 1, found.coarse_std * COUNT))
            parts.append(np.full(len(found.fine), found.fine_std * COUNT))
        return np.concatenate([*parts, np.full(len(self._texts), float(self._text_scale_or_one))])

    @property
    def _text_scale_or_one(self) -> int:
        return self.text_scale if self.mus[1] else 1

    def cost_check(self) -> Check:
        """What the ledger and the domain file say it cost keeps the claim, and covers both measurements."""
        mu = compose(self.mus)
        delta = delta_from_mu(mu, self.claim.epsilon) + math.fsum(
            fields["delta_slack"] + fields.get("delta_threshold", 0.0) for fields in self.spends
        )
        learned, statement = self.learned.domain.learned, self.learned.statement
        passed = delta <= self.claim.delta * (1 + _ROUNDING) and bool(self.recorded) == bool(self.mus[1])
        if learned is not None and statement is not None:
            passed = passed and learned.mu >= mu * (1 - _ROUNDING) and learned.delta >= self.delta_threshold
            passed = passed and learned.unit == statement.unit == self.claim.unit.describe()
            passed = passed and learned.epsilon <= statement.epsilon <= self.claim.epsilon
        passed = passed and (learned is not None) == (statement is not None) == bool(self.spends)
        detail = f"mu {mu:.4g} and a threshold's delta of {self.recorded:.2g} need delta {delta:.3g}"
        return Check("ledger, statement and [learned] say what it cost", passed, detail)

    def distance_check(self) -> Check:
        """How far apart neighbours are, in units of the declared noise: that is the mu they need."""
        base = self._exact(None)
        moved = np.array([(self._exact(number) - base) / self.scales for number in range(EXTREMES)])
        if self.claim.unit.relation == "replace-one":
            moved = (moved[:, None, :] - moved[None, :, :]).reshape(EXTREMES**2, -1)
        furthest, paid = float(np.linalg.norm(moved, axis=1).max()), compose(self.mus)
        name = "no neighbour moves the counts further than was paid for"
        detail = f"{furthest:.4g} of the {paid:.4g} that is paid for, in units of the noise"
        return Check(name, furthest <= paid * (1 + _ROUNDING), detail)

    def interference_check(self) -> Check:
        """A resumed run on a neighbouring file gets the stored noisy values: everything else must come out the same."""
        expected = self._seen(self.learned)
        different = [n for n in range(EXTREMES) if self._seen(self._learn(n, self.ledger)) != expected]
        name = "with the same noisy values every neighbour gives the same domain, to the letter"
        return Check(name, not different, f"{EXTREMES} neighbours, {len(different)} of them different")

    def rare_values_check(self) -> Check:
        """Values of as few records as a candidate has are published no more often than the threshold's delta says."""
        from scipy.stats import binom

        name = "a value that one unit may bring is published no more often than delta allows"
        if not self.mus[1]:
            return Check(name, True, "there are no texts")
        touched, unit = len(self.claim.texts), self.claim.unit
        smallest = learned_domain.smallest_candidate(self.text_scale)
        seen, passed = [], True
        for delta in (self.delta_threshold, _LARGE_DELTA):
            published = learned_domain.release_above_threshold(
                {("name", str(i)): smallest for i in range(_RARE_NAMES)},
                touched=touched,
                smallest=smallest,
                unit=unit,
                mu=self.mus[1],
                delta_threshold=delta,
                ledger=PrivacyLedger.in_memory(epsilon=self.claim.epsilon, delta=(1 + delta) / 2),
                run=_RUN,
                index=0,
                what="rare values",
                plan_hash=_RUN,
            )
            # a half for each direction, and shared by the values that one unit can bring
            allowed = delta / (2 * touched * (2 if unit.count_is_public else 1))
            chance = float(binom.sf(len(published) - 1, _RARE_NAMES, allowed))
            passed = passed and chance > ALPHA
            seen.append(f"{len(published):,} at delta {delta:.2g}")
        return Check(name, passed, f"{' and '.join(seen)}, of {_RARE_NAMES:,} values")

    def noise_checks(self, *, alpha: float) -> list[Check]:
        """Noise of whole runs: what was learnt, less the exact counts."""
        keys = [key for key in self._texts if self._counts(None)[1].get(key, 0) >= self.rows]
        exact = self._exact(None)
        size = len(self.scales) - len(self._texts)
        places = [size + self._texts.index(key) for key in keys]
        chosen = np.array([*range(size), *places], dtype=np.intp)
        if not len(chosen):
            return []
        tally = NoiseTally(self.scales[chosen], alpha=alpha)
        for _ in range(_DRAWS):
            fresh = PrivacyLedger.in_memory(epsilon=self.claim.epsilon, delta=self.claim.delta)
            learned = self._learn(None, fresh)
            noisy = [self._vector(learned.histograms[name]) for name in self.numbers]
            noisy.append(np.array([learned.counts.get(key, 0.0) for key in keys]))
            whole = np.rint(np.concatenate(noisy) * COUNT).astype(np.int64)
            tally.add((whole - exact[chosen])[None, :])
        return tally.checks(where="whole runs")

    def _learn(self, extreme: int | None, ledger: PrivacyLedger) -> LearnedDomain:
        return learned_domain.learn_domain(
            self._file(extreme),
            epsilon=self.claim.epsilon,
            delta=self.claim.delta,
            unit=self.claim.unit,
            ledger=ledger,
            run=_RUN,
        )

    def _file(self, extreme: int | None) -> Path:
        # folders differ and the file's name does not: it stands in the comments of what is learnt
        path = self.folder / f"{self.rows} {extreme}" / "records.parquet"
        if not path.exists():
            path.parent.mkdir()
            write_neighbour(path, self.claim.types, rows=self.rows, extreme=extreme)
        return path

    @staticmethod
    def _seen(learned: LearnedDomain) -> tuple[Any, ...]:
        return (
            learned.text,
            learned.domain,
            learned.statement,
            learned.counts,
            learned.smallest_published,
            learned.unclear,
        )

    @staticmethod
    def _vector(histogram: learned_domain.NoisyHistogram) -> NDArray[np.float64]:
        return np.concatenate([histogram.coarse, [histogram.missing], histogram.fine])

    def _counts(self, extreme: int | None) -> tuple[NDArray[np.int64], dict[Key, int]]:
        """Exact counts by the code that counts a user's: (cells of all ladders,), and of each text."""
        if extreme not in self._kept:
            texts = self.claim.texts
            ladders = {name: self.learned.histograms[name].ladder for name in self.numbers}
            batches = learned_domain.raw_batches(self._file(extreme), self.claim.types)
            fixed = learned_domain.count_fixed(batches, ladders, texts)
            cells = np.concatenate([np.empty(0, np.int64), *(fixed.ladders[name] for name in ladders)])
            found = learned_domain.count_candidates(batches, texts, fixed, 1) if texts else {}
            self._kept[extreme] = cells, dict(found)
        return self._kept[extreme]

    @cached_property
    def _kept(self) -> dict[int | None, tuple[NDArray[np.int64], dict[Key, int]]]:
        return {}

    @cached_property
    def _texts(self) -> list[Key]:
        """Every text that occurs in any of the files."""
        worlds = [None, *range(EXTREMES)]
        return list(dict.fromkeys(key for world in worlds for key in self._counts(world)[1]))

    def _exact(self, extreme: int | None) -> NDArray[np.int64]:
        """(coordinates,) exact sums in grid steps, in the order of `scales`."""
        cells, texts = self._counts(extreme)
        counted = np.array([texts.get(key, 0) for key in self._texts], dtype=np.int64)
        return np.concatenate([cells, counted]) * COUNT
