"""Preset keshi on images, and on windows of very many channels: door, artefacts and audit are those of tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.errors import ArtifactError, DomainError
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Image, Numerical, Window
from keshi.records.domain import Domain
from keshi.synthesis.array_estimates import (
    ClassGaussians,
    Overview,
    positive_definite,
    shrunk_covariances,
    without_hidden_variance,
)
from keshi.synthesis.array_fit import fit_array_mixture
from keshi.synthesis.array_mixture import ArrayMixture
from keshi.synthesis.mechanism_audit import audit_mechanism
from keshi.synthesis.moments import MomentFeatures
from keshi.synthesis.presets import (
    ArrayPreset,
    KeshiPreset,
    PaperPreset,
    preset_for,
    with_generator,
    with_steps,
)
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.synthesizer import PearlSynthesizer, embed_table, train

IMAGES = Domain({"image": Image(8, 8), "y": Categorical(("a", "b"))}, label="y")
COLOURS = Domain({"image": Image(6, 5, 3), "y": Categorical(("a", "b"))}, label="y")  # all of one class
WIDE = Domain(
    {"x": Window(6, 33, lower=-1, upper=1), "y": Categorical(("a", "b"))}, label="y"
)  # of too many channels for pairs of them
UNLABELLED = Domain({"image": Image(6, 6)})
ALL = pytest.mark.parametrize(
    "domain", [IMAGES, COLOURS, WIDE, UNLABELLED], ids=["images", "colours", "wide windows", "unlabelled"]
)


def records(domain, n, seed=0):
    """Class a is bright on the left, or a wave; class b on the right, or still."""
    randomness = np.random.default_rng(seed)
    label = (
        randomness.integers(0, 2, n) if domain in (IMAGES, WIDE) or domain.ignore else np.zeros(n, dtype=int)
    )
    (name,) = domain.array_columns
    column = domain.columns[name]
    if isinstance(column, Window):
        wave = np.sin(np.outer(1 + 2 * label, np.arange(6)) * 2 * np.pi / 6)
        x = 0.5 * wave[:, :, None] + 0.1 * randomness.normal(size=(n, 6, 33)).clip(-4, 4)
    else:
        x = np.zeros((n, *column.shape), dtype=np.uint8)
        half = column.width // 2
        strength = randomness.integers(120, 256, n)
        for row in range(n):
            side = slice(None, half) if label[row] == 0 else slice(half, None)
            x[row, :, side] = strength[row]
    found = {name: list(x)}
    if domain.label:
        found[domain.label] = np.array(["a", "b"])[label]
    return pd.DataFrame(found)


def embedded(domain, n=3_000, epsilon=5.0, **options):
    return embed_table(
        records(domain, n), domain, ArrayPreset(), epsilon=epsilon, delta=1e-5, unit=PrivacyUnit(), **options
    )


@ALL
def test_one_embedding_gives_records_of_the_domain_again_after_saving(domain, tmp_path):
    embedding = embedded(domain)
    embedding.save(tmp_path / "e")
    again = PrivateEmbedding.load(tmp_path / "e")
    generator, other = train(embedding), train(again)
    generator.save(tmp_path / "g")
    loaded = PearlSynthesizer.load(tmp_path / "g")
    (name,) = domain.array_columns
    first, second, third = (
        np.stack(one.sample(50, seed=3)[name].tolist()) for one in (generator, other, loaded)
    )
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert first.shape == (50, *domain.columns[name].shape)
    assert len(embedding.statement.measurements) == 4


def test_synthetic_images_look_like_the_real_ones_of_their_class():
    synthetic = train(embedded(IMAGES, 6_000)).sample(2_000, seed=1)
    real = records(IMAGES, 2_000, seed=1)
    for label in ("a", "b"):
        ours, theirs = (
            np.stack(table["image"][table["y"] == label].tolist()).astype(float)
            for table in (synthetic, real)
        )
        assert np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 40  # of 255; the noise of a release
    made = np.stack(synthetic["image"].tolist())
    assert 0.35 < (made == 0).mean() < 0.6  # half of every image is black, and not nearly black


@pytest.mark.parametrize("n", [1, 40])
def test_few_records_and_much_noise_still_give_records_within_the_bounds(n):
    for domain in (IMAGES, COLOURS):
        synthesizer = PearlSynthesizer(domain=domain, epsilon=0.05).fit(records(domain, n))
        assert len(synthesizer.sample(20)) == 20


def test_images_and_wide_windows_get_preset_keshi_by_default_and_mixed_records_do_not():
    mixed = Domain({"image": Image(3, 3), "age": Numerical(0, 90)})
    assert isinstance(preset_for(IMAGES), ArrayPreset)
    assert isinstance(preset_for(WIDE, "keshi"), ArrayPreset)
    assert isinstance(preset_for(IMAGES, "paper"), PaperPreset)
    assert isinstance(preset_for(mixed), PaperPreset)
    assert isinstance(preset_for(mixed, "keshi"), KeshiPreset)
    with pytest.raises(DomainError, match="one image or window"):
        ArrayPreset().plan(mixed, (), seed=0)
    with pytest.raises(ValueError, match="without steps"):
        with_steps(ArrayPreset(), 5)
    with pytest.raises(ValueError, match="one kind of generator"):
        with_generator(ArrayPreset(), "classwise")


def test_the_ledger_has_a_line_for_each_look_and_the_whole_is_what_was_asked_for():
    with PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5) as ledger:
        statement = embedded(IMAGES, 200, epsilon=1.0, ledger=ledger).statement
        spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
        assert [spend["what"] for spend in spends] == list(statement.measurements)
        assert sum(spend["mu"] ** 2 for spend in spends) <= statement.mu**2 * (1 + 1e-9)


def test_subjects_weigh_one_however_many_images_they_have():
    table = records(IMAGES, 300).assign(person=[f"p{row % 30}" for row in range(300)])
    domain = Domain(dict(IMAGES.columns), label="y", ignore=("person",))
    embedding = embed_table(
        table, domain, ArrayPreset(), epsilon=2.0, delta=1e-5, unit=PrivacyUnit(subject="person")
    )
    assert "adding or removing one subject" in embedding.statement.sentence
    assert len(train(embedding).sample(5)) == 5


@pytest.mark.real_noise
@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_mechanism_passes_its_audit(relation):
    audit = audit_mechanism(
        Domain({"image": Image(4, 4), "y": Categorical(("a", "b"))}, label="y"),
        ArrayPreset(),
        epsilon=1.0,
        delta=1e-5,
        unit=PrivacyUnit(relation),
        bound=lower_bounds,
        trials=300,
        frequencies=4,
    )
    assert not audit.failed
    assert 0.5 < audit.reached <= 1.0
    assert audit.bounds.epsilon_bound <= 1.0


def test_a_plan_of_other_arrays_is_refused_when_an_embedding_is_read(tmp_path):
    other = Domain({"image": Image(4, 16), "y": Categorical(("a", "b"))}, label="y")
    replace(embedded(IMAGES, 200), domain=other).save(tmp_path / "e")
    with pytest.raises(ArtifactError, match="moments are of other columns"):
        PrivateEmbedding.load(tmp_path / "e")


def test_a_mixture_whose_parts_do_not_fit_is_refused():
    mixture = fit_array_mixture(embedded(IMAGES, 200))
    tensors = mixture.tensors()
    assert isinstance(ArrayMixture.restored(tensors), ArrayMixture)
    for change in (
        {"mean": tensors["mean"][1:]},
        {"values": tensors["values"][:, ::-1].copy()},
        {"groups": tensors["groups"] + 1_000},
        {"centres": np.full_like(tensors["centres"], np.nan)},
    ):
        with pytest.raises(ValueError, match=r"mixture|map|group"):
            ArrayMixture.restored({**tensors, **change})
    with pytest.raises(ValueError, match="other arrays"):
        mixture.check_layout(WIDE)


def test_more_noise_means_fewer_cells_and_directions():
    few, many = (
        embedded(IMAGES, 3_000, epsilon=epsilon).measurements[3].features(MomentFeatures)
        for epsilon in (0.3, 20.0)
    )
    assert few.cells < many.cells
    assert few.directions <= many.directions


def test_the_same_seed_draws_the_same_records_and_another_one_others():
    mixture = fit_array_mixture(embedded(IMAGES, 300))
    classes = torch.zeros(9, dtype=torch.int64)
    first, second, third = (
        mixture.draw(classes, 64, randomness=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_a_covariance_of_noise_keeps_its_trace_and_loses_its_negative_variances():
    noise = np.random.default_rng(0).normal(size=(30, 30))
    noisy = np.diag(np.geomspace(1.0, 1e-3, 30)) + 0.02 * (noise + noise.T)
    assert np.linalg.eigvalsh(noisy).min() < 0
    for same_trace in (True, False):
        found = positive_definite(noisy, same_trace=same_trace)
        assert np.linalg.eigvalsh(found).min() > 0
        assert np.isclose(np.trace(found), np.trace(noisy)) == same_trace


def test_variance_that_noise_hides_is_not_drawn_and_what_stands_out_stays():
    randomness = np.random.default_rng(0)
    size, seen, std = 40, 4, 0.05
    truth = np.zeros((size, size))
    truth[:seen, :seen] = 3.0 * np.eye(seen)
    noise = randomness.normal(0.0, std, size=(size, size))
    noisy = positive_definite(truth + np.triu(noise) + np.triu(noise, 1).T, same_trace=True)
    found = without_hidden_variance(noisy, error=std * np.sqrt(size))
    hidden = [float(np.trace(matrix[seen:, seen:])) for matrix in (noisy, found)]
    assert hidden[0] > 1.0
    assert hidden[1] < 0.45 * hidden[0]  # 0.43; 0.47 where the noise is thought a tenth less
    assert np.isclose(np.trace(found[:seen, :seen]), np.trace(noisy[:seen, :seen]), rtol=0.03)
    assert np.allclose(without_hidden_variance(noisy, error=0.0), noisy, atol=1e-9)


def test_a_rare_class_is_drawn_as_varied_as_all_classes_are_and_not_as_its_own_noise_says():
    randomness = np.random.default_rng(0)
    d, shares = 20, np.array([0.496, 0.496, 0.008])
    truth = np.diag(np.geomspace(4.0, 0.1, d))
    noise = (0.02 / shares) ** 2  # of a diagonal entry: sixty times the standard deviation in the rare class
    own = np.stack([scale * truth for scale in (0.8, 1.2, 1.0)])
    for matrix, variance in zip(own, noise, strict=True):
        drawn = np.triu(randomness.normal(0.0, np.sqrt(variance / 2), size=(d, d)), 1)
        matrix += drawn + drawn.T + np.diag(randomness.normal(0.0, np.sqrt(variance), size=d))
    found, errors = shrunk_covariances(own, np.tensordot(shares, own, axes=1), noise, shares)
    assert np.allclose(errors[:2], np.sqrt(noise[:2] * (1 + (d - 1) * 25 / 49)))
    assert errors[2] < 0.15 * np.sqrt(noise[2] * (1 + (d - 1) * 25 / 49))
    kept = [
        np.trace(without_hidden_variance(one, error=error)) for one, error in zip(found, errors, strict=True)
    ]
    assert kept[2] > 0.7 * np.trace(truth)


def test_the_noise_in_the_covariance_of_a_class_is_as_large_as_it_is_said_to_be():
    embedding = embedded(IMAGES, 4_000)
    first, _, third, _ = embedding.measurements
    overview = Overview.of(first)
    block = third.features(MomentFeatures)
    drawn = third.noise_std(MomentFeatures) * np.random.default_rng(0).normal(size=(200, block.size))
    squares = [
        block.moments(one, noise_std=1.0).squares / overview.class_counts[:, None, None] for one in drawn
    ]
    seen = np.sqrt((np.linalg.eigvalsh(np.array(squares)) ** 2).mean(axis=(0, 2)))
    said = ClassGaussians.of(third, overview).covariance_errors
    assert np.allclose(said, seen, rtol=0.1)  # 200 matrices: 2 % each
