"""Preset keshi on sensor windows: described, counted as a table is, and filled with noise of the drawn strengths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.errors import ArtifactError, DomainError
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Image, Window
from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.mechanism_audit import audit_mechanism
from keshi.synthesis.mixture_fit import MixtureSchedule
from keshi.synthesis.presets import (
    ArrayPreset,
    WindowPreset,
    generator_kind,
    preset_for,
    with_generator,
    with_steps,
)
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.synthesizer import PearlSynthesizer, embed_table
from keshi.synthesis.synthesizer import train as train_for_long
from keshi.synthesis.window_descriptors import MOST_CHANNELS, QUIETEST, WindowDescriptors
from keshi.synthesis.window_marginals import WindowMarginals

WINDOW = Window(20, 2, lower=(-1, -100), upper=(1, 100))
WINDOWS = Domain({"x": WINDOW, "y": Categorical(("a", "b"))}, label="y")
UNLABELLED = Domain({"x": WINDOW})
SHORT = Domain({"x": Window(1, 3, lower=-1, upper=1), "y": Categorical(("a", "b"))}, label="y")
DESCRIPTORS = WindowDescriptors(20, 2)
PRESET = WindowPreset()
# The same, with so few intervals and steps that noise and fits take milliseconds.
QUICK = replace(
    PRESET,
    tables=replace(
        PRESET.tables,
        resolution=replace(PRESET.tables.resolution, leaves=64),
        schedule=MixtureSchedule(steps=5, components=100),
    ),
)


def records(domain, n, seed=0):
    """Class a is a loud slow wave about 0.5 and class b a fast one, a hundredth as strong, about -0.5."""
    randomness = np.random.default_rng(seed)
    label = randomness.integers(0, 2, n) if domain.label else np.zeros(n, dtype=int)
    length, channels = domain.columns["x"].shape
    at = (np.arange(length) + 0.5) * np.pi / max(length, 2)
    strength = np.array([0.3, 0.003])[label] * randomness.choice([-1.0, 1.0], n)
    wave = (
        np.cos(np.outer(np.array([2, 8])[label], at)) * strength[:, None]
        + np.array([0.5, -0.5])[label][:, None]
    )
    scales = np.asarray(domain.columns["x"].upper, dtype=float) * np.ones(channels)
    found = {"x": list(wave[:, :, None] * scales)}
    if domain.label:
        found["y"] = np.array(["a", "b"])[label]
    return pd.DataFrame(found)


def train(embedding, preset=QUICK, **options):
    return train_for_long(embedding, preset=preset, **options)


def embedded(domain, n=1_000, epsilon=5.0, preset=QUICK, **options):
    return embed_table(
        records(domain, n), domain, preset, epsilon=epsilon, delta=1e-5, unit=PrivacyUnit(), **options
    )


def encoded(n, seed=0, *, extreme=False):
    randomness = np.random.default_rng(seed)
    vectors = randomness.uniform(-1, 1, size=(n, 40)) * np.exp(randomness.uniform(-9, 0, size=(n, 1)))
    vectors = np.sign(vectors) if extreme else vectors
    return EncodedBatch(
        np.rint(vectors * 2.0**FEATURE_BITS) / 2.0**FEATURE_BITS, randomness.integers(0, 2, n)
    )


def slow_description(window):
    """(channels, 1 + bands) level and strength of each band, by loops over the cosine transform's definition."""
    length, channels = window.shape
    found = np.zeros((channels, 1 + len(DESCRIPTORS.bands)))
    for channel in range(channels):
        own = window[:, channel] * np.sqrt(2 / length)
        coefficients = [
            sum(own[t] * np.cos(np.pi * k * (t + 0.5) / length) for t in range(length)) for k in range(length)
        ]
        found[channel, 0] = np.mean(window[:, channel])
        for index, (low, high) in enumerate(DESCRIPTORS.bands):
            found[channel, 1 + index] = np.sqrt(np.mean(np.square(coefficients[low:high])))
    return found


@pytest.mark.parametrize("extreme", [False, True])
def test_a_window_is_described_by_its_mean_and_the_strength_of_its_bands(extreme):
    batch = encoded(30, extreme=extreme)
    found = DESCRIPTORS.described(batch).vectors.reshape(30, 2, -1)
    strengths = QUIETEST * 2 ** (DESCRIPTORS.octaves * (found[:, :, 1:] + 1) / 2)
    for row in range(30):
        expected = slow_description(batch.vectors[row].reshape(20, 2))
        np.testing.assert_allclose(found[row, :, 0], expected[:, 0], atol=1e-4)
        np.testing.assert_allclose(strengths[row], expected[:, 1:], rtol=0.02, atol=2e-4)
    steps = found * 2.0**FEATURE_BITS
    assert np.abs(found).max() <= 1.0
    assert np.array_equal(steps, np.rint(steps))


def test_neither_order_nor_batch_changes_a_bit_of_a_description():
    batch = encoded(50)
    whole = DESCRIPTORS.described(batch).vectors
    order = np.random.default_rng(1).permutation(50)
    shuffled, *one = (
        DESCRIPTORS.described(EncodedBatch(batch.vectors[rows], batch.classes[rows])).vectors
        for rows in (order, *([row] for row in range(50)))
    )
    assert np.array_equal(whole[order], shuffled)
    assert np.array_equal(whole, np.concatenate(one))


def test_a_window_made_of_a_description_is_described_by_it_again():
    described = DESCRIPTORS.described(encoded(200)).vectors
    described[:, ::4] *= 0.2  # so that no entry is clipped
    strengths = [1, 2, 3, 5, 6, 7]
    described[:, strengths] = np.clip(described[:, strengths], -0.2, 0.5)  # nor rounded away
    windows = DESCRIPTORS.windows(described, np.random.default_rng(0))
    on_grid = np.rint(windows * 2.0**FEATURE_BITS) / 2.0**FEATURE_BITS
    again = DESCRIPTORS.described(EncodedBatch(on_grid, np.zeros(200, dtype=np.int64))).vectors
    np.testing.assert_allclose(again, described, atol=1e-3)


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_no_window_moves_the_sums_further_than_the_sensitivity(relation):
    plan = QUICK.plan(WINDOWS, (), seed=0)
    block = plan.features[0]
    batch = encoded(40)
    rows = [
        block.sums(EncodedBatch(batch.vectors[i : i + 1], batch.classes[i : i + 1]), np.ones(1)).astype(float)
        for i in range(40)
    ]
    norms = [np.linalg.norm(row) for row in rows]
    np.testing.assert_allclose(norms, block.norm)
    if relation == "replace-one":
        unit = PrivacyUnit("replace-one")
        assert max(np.linalg.norm(a - b) for a in rows for b in rows) * 2**20 <= block.sensitivity(unit) * (
            1 + 1e-12
        )


@pytest.mark.parametrize("domain", [WINDOWS, UNLABELLED, SHORT], ids=["labelled", "unlabelled", "one sample"])
def test_one_embedding_gives_windows_of_the_domain_again_after_saving(domain, tmp_path):
    embedding = embedded(domain)
    embedding.save(tmp_path / "e")
    generator, other = train(embedding), train(PrivateEmbedding.load(tmp_path / "e"))
    generator.save(tmp_path / "g")
    first, second, third = (
        np.stack(one.sample(50, seed=3)["x"].tolist())
        for one in (generator, other, PearlSynthesizer.load(tmp_path / "g"))
    )
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert first.shape == (50, *domain.columns["x"].shape)


def test_loud_and_quiet_classes_keep_level_strength_and_frequency():
    synthetic = train(embedded(WINDOWS, 4_000, 2.0, PRESET), with_steps(PRESET, 60)).sample(1_000, seed=1)
    series = np.stack(synthetic["x"].tolist())[:, :, 0]
    loud = (synthetic["y"] == "a").to_numpy()
    level, strength = series.mean(axis=1), series.std(axis=1)
    assert np.median(np.abs(level - np.where(loud, 0.5, -0.5))) < 0.05
    assert 0.1 < np.median(strength[loud]) < 0.4  # 0.21 in the records
    assert 0.001 < np.median(strength[~loud]) < 0.006  # 0.0021 in the records: not drowned by the loud class
    power = np.abs(np.fft.rfft(series - level[:, None], axis=1)) ** 2
    assert np.median((power[:, 1:2].sum(axis=1) / power.sum(axis=1))[loud]) > 0.4


def test_windows_of_few_channels_get_this_preset_and_others_do_not():
    wide = Domain({"x": Window(4, MOST_CHANNELS + 1, lower=-1, upper=1)})
    assert isinstance(preset_for(WINDOWS), WindowPreset)
    assert isinstance(preset_for(wide, "keshi"), ArrayPreset)
    assert isinstance(preset_for(Domain({"x": Image(4, 4)})), ArrayPreset)
    with pytest.raises(DomainError, match=f"at most {MOST_CHANNELS} channels"):
        QUICK.plan(wide, (), seed=0)


def test_the_mixture_goes_on_with_more_steps_and_comes_in_three_kinds():
    embedding = embedded(WINDOWS, 500)
    schedule = replace(
        QUICK.tables.schedule, stop_at=0.1
    )  # below the noise: none of them is done before its steps
    endless = replace(QUICK, tables=replace(QUICK.tables, schedule=schedule))
    few = train(embedding, preset=with_steps(endless, 2))
    assert train(embedding, preset=endless, start=few).learning_curve[-1].step > 2
    for kind in ("mixture", "classwise"):
        made = train(embedding, preset=with_steps(with_generator(QUICK, kind), 2))
        assert generator_kind(made.network) == kind
        assert len(made.sample(5)) == 5


def test_ledger_and_statement_name_both_looks_and_their_mu():
    with PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5) as ledger:
        statement = embedded(WINDOWS, 200, epsilon=1.0, ledger=ledger).statement
        spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
        assert [spend["what"] for spend in spends] == list(statement.measurements)
        assert sum(spend["mu"] ** 2 for spend in spends) <= statement.mu**2 * (1 + 1e-9)
    assert statement.measurements == ("levels, strengths and class counts", "pairs of levels and strengths")


def test_people_weigh_one_however_many_windows_they_have():
    domain = Domain(dict(WINDOWS.columns), label="y", ignore=("person",))
    table = records(domain, 300).assign(person=[f"p{row % 30}" for row in range(300)])
    embedding = embed_table(table, domain, QUICK, epsilon=2.0, delta=1e-5, unit=PrivacyUnit(subject="person"))
    assert "adding or removing one subject" in embedding.statement.sentence
    assert len(train(embedding).sample(5)) == 5


@pytest.mark.real_noise
def test_the_mechanism_passes_its_audit():
    audit = audit_mechanism(
        Domain({"x": Window(6, 1, lower=-1, upper=1), "y": Categorical(("a", "b"))}, label="y"),
        QUICK,
        epsilon=1.0,
        delta=1e-5,
        unit=PrivacyUnit(),
        bound=lower_bounds,
        trials=100,
        frequencies=4,
    )
    assert not audit.failed
    assert audit.bounds.epsilon_bound <= 1.0


def test_what_is_of_other_windows_is_refused(tmp_path):
    embedding = embedded(WINDOWS, 200)
    other = Domain({"x": Window(10, 4, lower=-1, upper=1), "y": Categorical(("a", "b"))}, label="y")
    replace(embedding, domain=other).save(tmp_path / "e")
    with pytest.raises(ArtifactError, match="window marginals are of other columns"):
        PrivateEmbedding.load(tmp_path / "e")
    with pytest.raises(ValueError, match="other windows"):
        train(embedding).network.check_layout(other)
    by_moments = embed_table(
        records(WINDOWS, 50), WINDOWS, ArrayPreset(), epsilon=1.0, delta=1e-5, unit=PrivacyUnit()
    )
    with pytest.raises(ArtifactError, match="no window marginals"):
        train(by_moments)


@pytest.mark.parametrize("sides", [[20.0, 2], [20, True], ["20", 2]])
def test_sides_that_only_look_like_those_of_the_windows_are_refused(sides):
    with pytest.raises(ValueError, match="whole numbers"):
        WindowDescriptors(*sides)


def test_a_cut_plan_still_describes_windows_and_settings_make_it_again():
    block = QUICK.plan(WINDOWS, (), seed=0).features[0]
    cut = block.cut(3)
    assert isinstance(cut, WindowMarginals)
    assert cut.size < block.size
    again = WindowMarginals(**cut.settings())
    batch = encoded(20)
    assert np.array_equal(again.sums(batch, np.ones(20)), cut.sums(batch, np.ones(20)))
    assert type(cut.of_table) is MarginalFeatures


def test_the_same_seed_draws_the_same_windows_and_another_one_others():
    network = train(embedded(WINDOWS, 300)).network
    first, second, third = (
        network.draw(torch.zeros(9, dtype=torch.int64), 40, randomness=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
