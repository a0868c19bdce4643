"""Mutants of learning a domain: our own code with a known privacy mistake put in. The audit must flag every one.

As in test_mutants: each replaces a function of the product, and the audit runs as it does for a user.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.privacy import histograms, learned_domain, mechanisms
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.synthesis.learning_audit import audit_learning
from keshi.synthesis.learning_claim import LearningClaim

pytestmark = pytest.mark.real_noise

TYPES = {"age": "integer", "city": "text", "name": "text"}
REAL_NOISE = mechanisms.discrete_gaussian
REAL_SCALES = mechanisms.noise_scales
REAL_THRESHOLD = mechanisms.threshold
REAL_THRESHOLD_SCALE = mechanisms.threshold_scale
REAL_BLOCKS = histograms.histogram_blocks
REAL_MEASURE = learned_domain.measure_histograms
REAL_PUBLISH = learned_domain.release_above_threshold
REAL_LEARN = learned_domain.learn_domain
REAL_COST = learned_domain._cost
REAL_SPEND = PrivacyLedger.spend


def run_audit(relation="add-or-remove", **options):
    claim = LearningClaim(TYPES, options.pop("epsilon", 1.0), 1e-5, PrivacyUnit(relation))
    return audit_learning(claim, **({"bound": lower_bounds, "trials": 300} | options))


def weaker_noise(factor):
    def mutate(patch):
        patch.setattr(
            mechanisms, "discrete_gaussian", lambda sums, scale: REAL_NOISE(sums, int(scale / factor))
        )

    return mutate


def smaller_scales(factor):
    """The scale itself is wrong, so that what is learnt declares what it draws."""

    def scales(blocks, mu):
        return tuple(math.ceil(scale / factor) for scale in REAL_SCALES(blocks, mu))

    def mutate(patch):
        for module in (mechanisms, histograms):
            patch.setattr(module, "noise_scales", scales)

    return mutate


def add_or_remove_sensitivity_of_histograms(patch):
    patch.setattr(histograms, "histogram_blocks", lambda ladders, unit: REAL_BLOCKS(ladders, PrivacyUnit()))


def add_or_remove_sensitivity_of_counts(patch):
    patch.setattr(mechanisms, "_sides", lambda unit: 1)


def one_column_for_all_texts(patch):
    def scale(*, touched, **options):
        return REAL_THRESHOLD_SCALE(touched=1, **options)

    patch.setattr(mechanisms, "threshold_scale", scale)
    patch.setattr(learned_domain, "threshold_scale", scale)


def thresholds_of(rule):
    """`rule(scale, smallest, delta_threshold, touched, unit)`: the smallest noisy count that is published."""

    def threshold(scale, *, touched, smallest, unit, delta_threshold):
        return rule(scale, smallest, delta_threshold, touched, unit)

    def mutate(patch):
        patch.setattr(mechanisms, "threshold", threshold)
        patch.setattr(learned_domain, "threshold", threshold)

    return mutate


two_deviations = thresholds_of(lambda scale, smallest, *_: smallest * COUNT + 2 * scale)
delta_not_shared = thresholds_of(
    lambda scale, smallest, delta, touched, unit: REAL_THRESHOLD(
        scale,
        touched=1,
        smallest=smallest,
        unit=PrivacyUnit(),
        delta_threshold=min(2 * delta, 0.99),
    )
)
smallest_forgotten = thresholds_of(
    lambda scale, smallest, delta, touched, unit: REAL_THRESHOLD(
        scale, touched=touched, smallest=0, unit=unit, delta_threshold=delta
    )
)


def publishing(how):
    """`how(counts, real, options)`: what is published; `real(counts)` is our own code under these options."""

    def publish(counts, **options):
        return how(counts, lambda counts: REAL_PUBLISH(counts, **options), options)

    def mutate(patch):
        patch.setattr(learned_domain, "release_above_threshold", publish)

    return mutate


def without_noise(counts, real, options):
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(mechanisms, "discrete_gaussian", lambda sums, scale: sums)
        return real(counts)


def exact_counts_of_what_is_published(counts, real, options):
    return {key: counts[key] * COUNT for key in real(counts)}


def decided_before_the_noise(counts, real, options):
    """The list is decided by exact counts; only the counts that are published with it are noisy."""
    how = {name: options[name] for name in ("touched", "unit")}
    scale = REAL_THRESHOLD_SCALE(**how, mu=options["mu"])
    least = REAL_THRESHOLD(
        scale, **how, smallest=options["smallest"], delta_threshold=options["delta_threshold"]
    )
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(mechanisms, "threshold", lambda *_, **__: -(2**62))
        noisy = real(counts)
    return {key: steps for key, steps in noisy.items() if counts.get(key, 0) * COUNT >= least}


def learned_otherwise(change):
    """`change(name, column, series)`: the column that is learnt, given the records."""

    def mutate(patch):
        def learn(path, **options):
            learned = REAL_LEARN(path, **options)
            table = pd.read_parquet(path)
            columns = {name: change(c, table[name]) for name, c in learned.domain.columns.items()}
            return replace(learned, domain=replace(learned.domain, columns=columns))

        patch.setattr(learned_domain, "learn_domain", learn)

    return mutate


def smallest_and_largest(column, series):
    if not isinstance(column, Numerical):
        return column
    return replace(column, lower=int(series.min()), upper=int(series.max()), bins=())


def exact_quantiles(column, series):
    if not isinstance(column, Numerical):
        return column
    cuts = np.unique(series.dropna().quantile([0.1, 0.3, 0.5, 0.7, 0.9]) + np.round(series.mean() / 1e17, 6))
    return replace(column, bins=tuple(cut for cut in cuts if column.lower < cut < column.upper))


def all_values(column, series):
    if not isinstance(column, Categorical):
        return column
    return replace(column, categories=tuple(sorted(set(series.dropna()) - {"OTHER"})))


def number_of_records_in_the_comments(patch):
    def learn(path, **options):
        learned = REAL_LEARN(path, **options)
        return replace(learned, source=f"{learned.source}, {len(pd.read_parquet(path))} records")

    patch.setattr(learned_domain, "learn_domain", learn)


def mean_of_two_draws_for_one_line(patch):
    def measure(*arguments, ledger, unit, **options):
        first = REAL_MEASURE(*arguments, ledger=ledger, unit=unit, **options)
        free = PrivacyLedger.in_memory(epsilon=10.0, delta=1e-5)
        second = REAL_MEASURE(*arguments, ledger=free, unit=unit, **options)
        return {
            name: replace(
                one,
                coarse=(one.coarse + second[name].coarse) / 2,
                fine=(one.fine + second[name].fine) / 2,
                missing=(one.missing + second[name].missing) / 2,
            )
            for name, one in first.items()
        }

    patch.setattr(learned_domain, "measure_histograms", measure)


def half_the_cost_in_the_domain_file(patch):
    def cost(*arguments):
        found = REAL_COST(*arguments)
        return replace(found, mu=found.mu / 2)

    patch.setattr(learned_domain, "_cost", cost)


def delta_of_the_threshold_not_in_the_ledger(patch):
    def spend(self, *, delta_threshold=0.0, **options):
        return REAL_SPEND(self, **options)

    patch.setattr(PrivacyLedger, "spend", spend)


def noise_of_a_generator_that_was_seeded(patch):
    def draw(sums, scale):
        noise = scale * np.random.default_rng(0).standard_normal(len(sums))
        return sums + np.rint(noise).astype(np.int64)

    patch.setattr(mechanisms, "discrete_gaussian", draw)


MUTANTS = {
    "noise / sqrt2": (weaker_noise(math.sqrt(2)), "add-or-remove"),
    "noise / 2, replace-one": (weaker_noise(2), "replace-one"),
    "scales / sqrt2, and declared so": (smaller_scales(math.sqrt(2)), "add-or-remove"),
    "add-or-remove sensitivity of histograms": (add_or_remove_sensitivity_of_histograms, "replace-one"),
    "add-or-remove sensitivity of counts": (add_or_remove_sensitivity_of_counts, "replace-one"),
    "sensitivity of one column for all texts": (one_column_for_all_texts, "add-or-remove"),
    "threshold at two deviations": (two_deviations, "add-or-remove"),
    "delta of the threshold for every column": (delta_not_shared, "replace-one"),
    "threshold from no record instead of the smallest": (smallest_forgotten, "add-or-remove"),
    "threshold without noise": (publishing(without_noise), "add-or-remove"),
    "exact counts of published values": (publishing(exact_counts_of_what_is_published), "add-or-remove"),
    "list decided before the noise": (publishing(decided_before_the_noise), "add-or-remove"),
    "smallest and largest value": (learned_otherwise(smallest_and_largest), "add-or-remove"),
    "bins at exact quantiles": (learned_otherwise(exact_quantiles), "add-or-remove"),
    "all values as categories": (learned_otherwise(all_values), "add-or-remove"),
    "number of records in the comments": (number_of_records_in_the_comments, "add-or-remove"),
    "mean of two draws for one line": (mean_of_two_draws_for_one_line, "add-or-remove"),
    "half the cost in the domain file": (half_the_cost_in_the_domain_file, "add-or-remove"),
    "delta of the threshold unpaid": (delta_of_the_threshold_not_in_the_ledger, "add-or-remove"),
    "fixed noise seed": (noise_of_a_generator_that_was_seeded, "add-or-remove"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_audit_flags_every_mutant_of_learning(name, monkeypatch):
    mutate, relation = MUTANTS[name]
    mutate(monkeypatch)
    audit = run_audit(relation)
    assert audit.verdict == "violated"
    assert audit.failed or audit.bounds.verdict == "violated"


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_audit_passes_our_learning_as_it_is(relation):
    audit = run_audit(relation)
    assert not audit.failed
    assert audit.bounds.verdict == "inconclusive"  # 300 trials are too few to say more


def test_the_attack_alone_refutes_a_list_that_is_decided_before_the_noise(monkeypatch):
    """The statistical part by itself: all counts are noisy, and the published set of values tells the worlds apart."""
    publishing(decided_before_the_noise)(monkeypatch)
    audit = run_audit(trials=1_000)
    assert audit.bounds.verdict == "violated"
    assert audit.bounds.epsilon_bound > 1.0


def test_the_attack_alone_refutes_half_the_noise(monkeypatch):
    weaker_noise(2)(monkeypatch)
    audit = run_audit(epsilon=4.0, trials=2_000)
    assert audit.bounds.verdict == "violated"
    assert audit.bounds.gaussian_epsilon > 4.0
