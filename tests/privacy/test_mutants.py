"""Mutants: our own code with a known privacy mistake put in. The audit that users run must flag every one of them.

Each mutant replaces a function of the product by one with a mistake that somebody has really made; the audit then runs
as it does for a user. The code without a mutant must pass under both relations.
"""

import math
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.privacy import contribution, mechanisms
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis import embedding as embedding_module
from keshi.synthesis import features, synthesizer
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.mechanism_audit import audit_mechanism
from keshi.synthesis.presets import KeshiPreset, PaperPreset

pytestmark = pytest.mark.real_noise

DOMAIN = Domain(
    {
        "age": Numerical(0, 100, integer=True),
        "city": Categorical(("Kyoto", "Nara", "Osaka", "Otsu")),
        "ill": Categorical(("no", "yes")),
    },
    label="ill",
)
REAL_RELEASE = mechanisms.release
REAL_NOISE = mechanisms.discrete_gaussian
REAL_SCALES = mechanisms.noise_scales
REAL_EMBED = synthesizer.embed
REAL_EMBED_PARTIAL = embedding_module.embed_partial
REAL_EMBED_TABLE = synthesizer.embed_table
REAL_WEIGH = contribution._weigh
REAL_SPILL = contribution._spill
REAL_SUBJECTS = TableEncoder.subjects


def run_audit(relation="add-or-remove", *, preset=None, subject=None, max_records=None, **options):
    settings = {"epsilon": 1.0, "delta": 1e-5, "trials": 300, "bound": lower_bounds} | options
    unit = PrivacyUnit(relation, subject, max_records)
    return audit_mechanism(DOMAIN, preset or PaperPreset(frequencies=2), unit=unit, **settings)


# --- the mutants: name -> (what is put in, relation) --------------------------------------------------------


def weaker_noise(factor):
    def mutate(patch):
        patch.setattr(
            mechanisms, "discrete_gaussian", lambda sums, scale: REAL_NOISE(sums, max(1, int(scale / factor)))
        )

    return mutate


def smaller_scales(factor):
    """The scale itself is wrong, so that the release declares what it draws."""

    def scales(blocks, mu):
        return tuple(math.ceil(scale / factor) for scale in REAL_SCALES(blocks, mu))

    def mutate(patch):
        patch.setattr(mechanisms, "noise_scales", scales)
        patch.setattr(embedding_module, "noise_scales", scales)

    return mutate


def labels_without_noise(patch):
    def release(sums, blocks, **options):
        names = iter([block.name for block in blocks])

        def draw(part, scale):
            return part.copy() if next(names) == "class counts" else REAL_NOISE(part, scale)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(mechanisms, "discrete_gaussian", draw)
            return REAL_RELEASE(sums, blocks, **options)

    patch.setattr(embedding_module, "release", release)


def add_or_remove_sensitivity_of_the_unit(patch):
    patch.setattr(PrivacyUnit, "sensitivity", lambda self, norm: norm)


def add_or_remove_sensitivity_of_the_features(patch):
    patch.setattr(features.Features, "sensitivity", lambda self, unit: features.WEIGHT * self.norm)


def mean_of_two_draws_for_one_line(patch):
    def release(sums, blocks, *, mu, **options):
        first = REAL_RELEASE(sums, blocks, mu=mu, **options)
        parts = np.split(sums, np.cumsum([block.size for block in blocks])[:-1])
        second = [REAL_NOISE(part, scale) for part, scale in zip(parts, REAL_SCALES(blocks, mu), strict=True)]
        return (first + np.concatenate(second)) // 2

    patch.setattr(embedding_module, "release", release)


def second_value_for_one_line(patch):
    def embed(*arguments, epsilon, delta, ledger=None, **options):
        kept = REAL_EMBED(*arguments, epsilon=epsilon, delta=delta, ledger=ledger, **options)
        free = PrivacyLedger.in_memory(epsilon=epsilon, delta=max(delta, 0.1))
        unpaid = REAL_EMBED(*arguments, epsilon=epsilon, delta=delta, ledger=free, **options)
        return replace(kept, measurements=(*kept.measurements, unpaid.measurements[-1]))

    patch.setattr(synthesizer, "embed", embed)


def resumed_run_draws_again(patch):
    def release(sums, blocks, *, mu, ledger, run, index, **options):
        known = ledger.stored(run, index) is not None
        value = REAL_RELEASE(sums, blocks, mu=mu, ledger=ledger, run=run, index=index, **options)
        if not known:
            return value
        parts = np.split(sums, np.cumsum([block.size for block in blocks])[:-1])
        return np.concatenate(
            [REAL_NOISE(part, scale) for part, scale in zip(parts, REAL_SCALES(blocks, mu), strict=True)]
        )

    patch.setattr(embedding_module, "release", release)


def min_max_from_the_data(patch):
    real = TableEncoder._scaled

    def scaled(self, name, numbers):
        column, values = self.domain.encoded_columns[name], numbers[name]
        if isinstance(column, Numerical) and np.ptp(values) > 0:
            share = (values - values.min()) / np.ptp(values)
            numbers = {**numbers, name: column.lower + share * (column.upper - column.lower)}
        return real(self, name, numbers)

    patch.setattr(TableEncoder, "_scaled", scaled)


def domain_from_the_data(learn):
    """The domain is drafted from the records before they are embedded, and goes into the release."""

    def mutate(patch):
        def embed_table(table, domain, *arguments, **options):
            columns = {name: learn(column, table[name]) for name, column in domain.columns.items()}
            return REAL_EMBED_TABLE(table, replace(domain, columns=columns), *arguments, **options)

        patch.setattr(synthesizer, "embed_table", embed_table)

    return mutate


def learned_bounds(column, series):
    if not isinstance(column, Numerical):
        return column
    return replace(column, lower=float(series.min()), upper=float(series.max()) + 1.0)


def learned_categories(column, series):
    if not isinstance(column, Categorical) or column.cells == 2:
        return column
    return replace(column, categories=tuple(sorted(series.unique())))


def categories_from_the_data(patch):
    """Cells are numbered in the order in which the categories turn up."""

    real = TableEncoder._read_others

    def read_others(self, name, column, series):
        if not isinstance(column, Categorical):
            return real(self, name, column, series)
        return pd.factorize(series)[0].astype(np.int64) % column.cells, np.empty(0), []

    patch.setattr(TableEncoder, "_read_others", read_others)


def noise_of(draw):
    """Rounded normal noise from a generator: `draw(size)` gives standard normal numbers."""

    def mutate(patch):
        patch.setattr(
            mechanisms,
            "discrete_gaussian",
            lambda sums, scale: sums + np.rint(scale * draw(len(sums))).astype(np.int64),
        )

    return mutate


def noise_of_a_seeded_global_generator(patch):
    noise_of(lambda size: np.random.normal(size=size))(patch)  # noqa: NPY002


def noise_of_a_generator_that_was_seeded_once(patch):
    generator = np.random.default_rng(0)
    noise_of(lambda size: generator.normal(size=size))(patch)


def float32_noise(patch):
    def draw(sums, scale):
        noise = np.float32(scale) * np.random.default_rng().standard_normal(len(sums), dtype=np.float32)
        return sums + noise.astype(np.int64)

    patch.setattr(mechanisms, "discrete_gaussian", draw)


def float32_values(patch):
    patch.setattr(
        mechanisms,
        "discrete_gaussian",
        lambda sums, scale: REAL_NOISE(sums, scale).astype(np.float32).astype(np.int64),
    )


def one_noise_for_all_coordinates(patch):
    patch.setattr(
        mechanisms,
        "discrete_gaussian",
        lambda sums, scale: sums + REAL_NOISE(np.zeros(1, dtype=np.int64), scale),
    )


def row_count_in_the_release(patch):
    def embed(records, *arguments, **options):
        rows = sum(len(batch) for batch in records())
        return replace(REAL_EMBED(records, *arguments, **options), public_count=rows)

    patch.setattr(synthesizer, "embed", embed)


def more_spent_than_claimed(patch):
    real = embedding_module.mu_from_epsilon
    patch.setattr(embedding_module, "mu_from_epsilon", lambda epsilon, delta: 1.2 * real(epsilon, delta))
    # and no ledger that would refuse it
    from keshi.privacy import ledger

    patch.setattr(ledger, "refuse_overspending", lambda *_, **__: None)


# --- mutants of subjects ------------------------------------------------------------------------------------


def weights(rule):
    """`rule(records, kept, unit_weight)`: (weight of a kept record, how many are kept) of a subject."""

    def weigh(entries, of_records, unit_weight, max_records):
        for subject in np.unique(entries["subject"]):
            places = entries["position"][entries["subject"] == subject]
            records = len(places)
            weight, kept = rule(records, min(records, max_records or records), unit_weight)
            of_records[places] = np.where(np.arange(records) < kept, weight, 0)
        return len(np.unique(entries["subject"]))

    def mutate(patch):
        patch.setattr(contribution, "_weigh", weigh)

    return mutate


def every_record_a_subject_of_its_own(patch):
    """Partitions, and weights, by record."""
    patch.setattr(contribution, "_digest", lambda value, key: os.urandom(16))


def records_of_a_subject_in_several_partitions(patch):
    """Records are dealt out to the partitions in turn, and each partition is weighed by itself."""

    def spill(identifiers, folder):
        count = REAL_SPILL(identifiers, folder)
        files = sorted(folder.glob("*.bin"))
        entries = np.concatenate([np.fromfile(file, dtype=contribution._ENTRY) for file in files])
        for number, file in enumerate(files):
            entries[entries["position"] % len(files) == number].tofile(file)
        return count

    patch.setattr(contribution, "_spill", spill)


def subjects_told_apart_where_they_stand_together(patch):
    """A subject is a stretch of records, as it would be in a sorted table."""

    def subjects(self, table, **options):
        series = REAL_SUBJECTS(self, table, **options)
        return (series != series.shift()).cumsum()

    patch.setattr(TableEncoder, "subjects", subjects)


def weights_that_are_never_used(patch):
    def embed_partial(batches, plan, *, weights=None, **options):
        # Past the guard of `measure`, which refuses sums of records for a subject outright.
        return replace(REAL_EMBED_PARTIAL(batches, plan, **options), by_subject=weights is not None)

    patch.setattr(embedding_module, "embed_partial", embed_partial)


def number_of_records_for_that_of_subjects(patch):
    def embed(*arguments, contributions, **options):
        counted = replace(contributions, subjects=len(contributions.weights))
        return REAL_EMBED(*arguments, contributions=counted, **options)

    patch.setattr(synthesizer, "embed", embed)


weights_not_divided = weights(lambda records, kept, unit: (unit, kept))
all_are_kept_with_the_weight_of_the_kept = weights(lambda records, kept, unit: (unit // kept, records))
weights_rounded_up = weights(lambda records, kept, unit: (-(-unit // kept), kept))
weights_by_the_square_root = weights(lambda records, kept, unit: (int(unit / math.sqrt(kept)), kept))

SUBJECT_MUTANTS = {
    "weights not divided": (weights_not_divided, "add-or-remove", None),
    "weights not divided, replace-one": (weights_not_divided, "replace-one", None),
    "weights not divided, with max_records": (weights_not_divided, "add-or-remove", 2),
    "max_records divides and does not drop": (all_are_kept_with_the_weight_of_the_kept, "add-or-remove", 3),
    "max_records divides and does not drop, replace-one": (
        all_are_kept_with_the_weight_of_the_kept,
        "replace-one",
        10,
    ),
    "weights rounded up": (weights_rounded_up, "add-or-remove", None),
    "weights divided by the root of the number": (weights_by_the_square_root, "add-or-remove", None),
    "every record a subject of its own": (every_record_a_subject_of_its_own, "add-or-remove", None),
    "a subject in several partitions": (records_of_a_subject_in_several_partitions, "add-or-remove", None),
    "subjects told apart only where they stand together": (
        subjects_told_apart_where_they_stand_together,
        "add-or-remove",
        None,
    ),
    "weights that are never used": (weights_that_are_never_used, "add-or-remove", None),
    "the number of records in the release": (number_of_records_for_that_of_subjects, "replace-one", None),
    "half the noise": (weaker_noise(2), "add-or-remove", 3),
    "add-or-remove sensitivity under replace-one": (
        add_or_remove_sensitivity_of_the_unit,
        "replace-one",
        None,
    ),
}


@pytest.mark.parametrize("name", SUBJECT_MUTANTS)
def test_the_audit_flags_every_mutant_of_subjects(name, monkeypatch):
    mutate, relation, max_records = SUBJECT_MUTANTS[name]
    mutate(monkeypatch)
    audit = run_audit(relation, subject="name", max_records=max_records)
    assert audit.verdict == "violated"
    assert audit.failed


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
@pytest.mark.parametrize("max_records", [None, 1, 10])
def test_the_audit_passes_our_code_for_subjects(relation, max_records):
    audit = run_audit(relation, subject="name", max_records=max_records)
    assert not audit.failed
    assert audit.bounds.verdict == "inconclusive"


MUTANTS = {
    "noise / sqrt2": (weaker_noise(math.sqrt(2)), "add-or-remove"),
    "noise / 2": (weaker_noise(2), "add-or-remove"),
    "noise / sqrt2, and declared so": (smaller_scales(math.sqrt(2)), "add-or-remove"),
    "noise / 2, and declared so": (smaller_scales(2), "add-or-remove"),
    "labels without noise": (labels_without_noise, "add-or-remove"),
    "labels without noise, replace-one": (labels_without_noise, "replace-one"),
    "add-or-remove sensitivity under replace-one (unit)": (
        add_or_remove_sensitivity_of_the_unit,
        "replace-one",
    ),
    "add-or-remove sensitivity under replace-one (features)": (
        add_or_remove_sensitivity_of_the_features,
        "replace-one",
    ),
    "unpaid second release: mean of two draws": (mean_of_two_draws_for_one_line, "add-or-remove"),
    "unpaid second release: a value too many": (second_value_for_one_line, "add-or-remove"),
    "unpaid second release: a resumed run draws again": (resumed_run_draws_again, "add-or-remove"),
    "min-max from the data (encoder)": (min_max_from_the_data, "add-or-remove"),
    "min-max from the data (domain)": (domain_from_the_data(learned_bounds), "replace-one"),
    "categories from the data (encoder)": (categories_from_the_data, "replace-one"),
    "categories from the data (domain)": (domain_from_the_data(learned_categories), "add-or-remove"),
    "fixed noise seed at every draw": (
        noise_of(lambda size: np.random.default_rng(0).normal(size=size)),
        "add-or-remove",
    ),
    "fixed noise seed of a global generator": (noise_of_a_seeded_global_generator, "add-or-remove"),
    "fixed noise seed of a generator of its own": (
        noise_of_a_generator_that_was_seeded_once,
        "add-or-remove",
    ),
    "float32 noise": (float32_noise, "add-or-remove"),
    "float32 values": (float32_values, "add-or-remove"),
    "one noise for all coordinates": (one_noise_for_all_coordinates, "add-or-remove"),
    "the row count in the release": (row_count_in_the_release, "add-or-remove"),
    "more spent than claimed": (more_spent_than_claimed, "add-or-remove"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_audit_flags_every_mutant(name, monkeypatch):
    mutate, relation = MUTANTS[name]
    mutate(monkeypatch)
    audit = run_audit(relation)
    assert audit.verdict == "violated"
    assert audit.failed or audit.bounds.verdict == "violated"


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_audit_passes_our_code_as_it_is(relation):
    audit = run_audit(relation)
    assert not audit.failed
    assert audit.bounds.verdict == "inconclusive"  # 300 trials are too few to say more


def test_the_attack_alone_refutes_half_the_noise(monkeypatch):
    """The statistical part by itself: epsilon 4 is claimed, and more is proved."""
    weaker_noise(2)(monkeypatch)
    audit = run_audit(epsilon=4.0, trials=3_000)
    assert audit.bounds.verdict == "violated"
    assert audit.bounds.gaussian_epsilon > 4.0


def test_the_attack_alone_refutes_labels_without_noise(monkeypatch):
    labels_without_noise(monkeypatch)
    audit = run_audit(trials=1_000)
    assert audit.bounds.verdict == "violated"
    assert min(audit.bounds.gaussian_epsilon, audit.bounds.epsilon_bound) > 1.0


# --- mutants of the marginals, which the audit sees where it is given preset keshi -----------------------------

REAL_MARGINALS = MarginalFeatures.sums


def norm_of_the_heaviest_marginal_alone(patch):
    patch.setattr(MarginalFeatures, "norm", property(lambda self: float(max(self.weights))))


def norm_without_weights(patch):
    patch.setattr(MarginalFeatures, "norm", property(lambda self: math.sqrt(len(self.weights))))


def a_record_counts_in_the_next_cell_too(patch):
    def sums(self, batch, weights):
        counted = REAL_MARGINALS(self, batch, weights)
        return counted + np.roll(counted, 1)

    patch.setattr(MarginalFeatures, "sums", sums)


def one_sided_sensitivity(patch):
    patch.setattr(MarginalFeatures, "sensitivity", lambda self, unit: features.WEIGHT * self.norm)


MARGINAL_MUTANTS = {
    "norm of the heaviest marginal alone": (norm_of_the_heaviest_marginal_alone, "add-or-remove"),
    "norm without weights": (norm_without_weights, "add-or-remove"),
    "a record counts in the next cell too": (a_record_counts_in_the_next_cell_too, "add-or-remove"),
    "add-or-remove sensitivity under replace-one (marginals)": (one_sided_sensitivity, "replace-one"),
}


@pytest.mark.parametrize("name", MARGINAL_MUTANTS)
def test_the_audit_flags_every_mutant_of_marginals(name, monkeypatch):
    mutate, relation = MARGINAL_MUTANTS[name]
    mutate(monkeypatch)
    assert run_audit(relation, preset=KeshiPreset(), trials=100).verdict == "violated"


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_audit_passes_marginals_as_they_are(relation):
    audit = run_audit(relation, preset=KeshiPreset(), trials=100)
    assert not audit.failed
