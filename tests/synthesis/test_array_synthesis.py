"""Images and windows through the door that tables go through: fit, sample, save, subjects, audit."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.errors import ArtifactError, DomainError
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.arrays import array_bounds
from keshi.records.column_kinds import Categorical, Image, Numerical, Window
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis.generators import (
    ImageGenerator,
    TableGenerator,
    WindowGenerator,
    draw_records,
    generator_for,
    generator_type,
)
from keshi.synthesis.mechanism_audit import audit_mechanism
from keshi.synthesis.neighbours import neighbouring_tables
from keshi.synthesis.presets import PRESETS, PaperPreset, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer, embed_table

IMAGES = Domain({"image": Image(5, 6, 3), "y": Categorical(("a", "b"))}, label="y")
WINDOWS = Domain(
    {"x": Window(7, 2, lower=(-1, -100), upper=(1, 100)), "y": Categorical(("a", "b"))}, label="y"
)
MIXED = Domain({"image": Image(3, 3), "age": Numerical(0, 90, missing=True), "town": Categorical(("K", "N"))})
ALL = pytest.mark.parametrize("domain", [IMAGES, WINDOWS, MIXED], ids=["images", "windows", "mixed"])
QUICK = PaperPreset(frequencies=6, steps=3)


def records(domain, n=40, seed=0):
    """Records all over the domain, by the tables that an audit is made with."""
    tables = neighbouring_tables(domain, rows=max(1, n - 8), extremes=8)
    return tables.with_all().sample(n, random_state=seed, replace=True).reset_index(drop=True)


def fitted(domain, **options):
    return PearlSynthesizer(**{"domain": domain, "preset": QUICK, **options}).fit(records(domain))


@ALL
def test_records_come_back_in_their_shapes_dtypes_and_bounds(domain):
    drawn = fitted(domain).sample(30)
    assert list(drawn.columns) == list(domain.columns)
    for name, column in domain.array_columns.items():
        lower, upper = array_bounds(column)
        values = np.stack(drawn[name])
        assert values.shape == (30, *column.shape)
        assert values.dtype == (np.uint8 if isinstance(column, Image) else np.float32)
        assert (values >= lower).all()
        assert (values <= upper).all()
    TableEncoder(domain).encode(drawn)


@ALL
def test_a_saved_generator_draws_the_same_records(domain, tmp_path):
    synthesizer = fitted(domain)
    synthesizer.save(tmp_path / "g")
    first, second = synthesizer.sample(9, seed=4), PearlSynthesizer.load(tmp_path / "g").sample(9, seed=4)
    for name in domain.columns:
        if name in domain.array_columns:
            assert np.array_equal(np.stack(first[name]), np.stack(second[name]))
        else:
            pd.testing.assert_series_equal(first[name], second[name])


def test_a_generator_whose_domain_is_exchanged_is_refused(tmp_path):
    fitted(IMAGES).save(tmp_path / "g")
    other = Domain({"image": Image(9, 9, 3), "y": Categorical(("a", "b"))}, label="y")
    (tmp_path / "g" / "domain.toml").write_text(other.dumps())
    manifest = json.loads((tmp_path / "g" / "manifest.json").read_text())
    import hashlib

    manifest["files"]["domain.toml"] = hashlib.sha256(other.dumps().encode()).hexdigest()
    (tmp_path / "g" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        PearlSynthesizer.load(tmp_path / "g")


@ALL
def test_the_same_statement_and_ledger_line_as_for_a_table(domain):
    with PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5) as ledger:
        statement = fitted(domain, ledger=ledger).statement
        assert statement.measurements == ("length-scale", "embedding with class counts")
        assert [entry.fields["what"] for entry in ledger.entries() if entry.kind == "spend"] == list(
            statement.measurements
        )
    assert "adding or removing one record" in statement.sentence


def test_arrays_in_memory_can_be_fitted():
    x = np.zeros((20, 5, 6, 3), dtype=np.uint8)
    synthesizer = PearlSynthesizer(domain=IMAGES, preset=QUICK).fit(
        {"image": x, "y": np.array(["a", "b"] * 10)}
    )
    assert len(synthesizer.sample(3)) == 3


def test_each_domain_gets_its_own_network():
    kinds = [generator_type(domain) for domain in (IMAGES, WINDOWS, MIXED)]
    assert kinds == [ImageGenerator, WindowGenerator, TableGenerator]
    assert generator_type(Domain({"image": Image(2, 2)})) is ImageGenerator
    assert generator_type(Domain({"image": Image(2, 2), "w": Window(2, 1, 0, 1)})) is TableGenerator


def test_the_image_network_is_the_paper_s_on_28_by_28():
    domain = Domain({"image": Image(28, 28), "y": Categorical(tuple(range(10)))}, label="y")
    network = generator_for(domain)
    assert network.latent == 5
    linear = [(m.in_features, m.out_features) for m in network.body if isinstance(m, torch.nn.Linear)]
    assert linear == [(15, 200), (200, 784)]
    convolutions = [(m.in_channels, m.out_channels, m.kernel_size) for m in (network.coarse, network.fine)]
    assert convolutions == [(16, 8, (5, 5)), (8, 1, (5, 5))]


@pytest.mark.parametrize(
    "column",
    [Image(1, 1), Image(28, 28), Image(5, 9, 3), Image(64, 64, 3), Window(1, 1, 0, 1), Window(30, 6, -1, 1)],
)
def test_soft_records_have_the_width_of_the_domain_and_stay_in_range(column):
    domain = Domain({"x": column, "y": Categorical((0, 1))}, label="y")
    torch.manual_seed(0)
    network = generator_for(domain)
    rows = network(torch.randn(4, network.latent), torch.tensor([0, 1, 0, 1]))
    assert rows.shape == (4, domain.width)
    assert rows.abs().max() <= 1
    assert rows.std() > 0
    hard = draw_records(rows, network.slots, randomness=torch.Generator())
    assert torch.equal(hard, rows)


def test_the_network_s_channels_come_last_as_in_the_records():
    """With the last layer cut down to its biases, every pixel of channel c has the value of bias c."""
    for column in (Image(6, 5, 3), Window(6, 3, -1, 1)):
        domain = Domain({"x": column})
        network = generator_for(domain)
        with torch.no_grad():
            network.fine.weight.zero_()
            network.fine.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
            rows = network(torch.randn(2, network.latent), torch.zeros(2, dtype=torch.int64))
        values = rows.reshape(2, *column.shape)
        assert (values[..., 0] < -0.1).all()
        assert (values[..., 1].abs() < 1e-6).all()
        assert (values[..., 2] > 0.1).all()


def test_the_paper_s_numbers_are_chosen_by_the_domain():
    paper, table = PRESETS["paper"], Domain({"a": Numerical(0, 1)})
    of_images, of_tables = paper.schedule_for(IMAGES), paper.schedule_for(table)
    assert (of_images.steps, of_images.batch, of_images.critic_every, of_images.learning_rate) == (
        3_000,
        100,
        5,
        0.01,
    )
    assert (of_tables.steps, of_tables.batch, of_tables.critic_every) == (8_000, None, 10)
    assert with_steps(paper, 7).schedule_for(IMAGES).steps == 7
    assert with_steps(paper, 7).schedule_for(IMAGES).batch == 100
    embedding = embed_table(records(MIXED), MIXED, paper, epsilon=1.0, delta=1e-5, unit=PrivacyUnit())
    assert embedding.measurements[1].plan.features[0].k == 1_500


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (Domain({"image": Image(200, 200)}), "column 'image' alone takes 40,000. Declare smaller arrays"),
        (
            Domain({"image": Image(64, 64, 3), "age": Numerical(0, 1)}),
            "put all other columns but the label under ignore",
        ),
        (
            Domain({"image": Image(2, 2), "y": Categorical(tuple(range(5_000)))}, label="y"),
            "5,000 categories",
        ),
    ],
)
def test_what_is_too_large_for_its_generator_is_refused_before_anything_is_read(domain, said):
    with pytest.raises(DomainError, match=said):
        embed_table("nowhere.npz", domain, QUICK, epsilon=1.0, delta=1e-5, unit=PrivacyUnit())


def test_pictures_of_64_by_64_in_colour_can_be_synthesized():
    domain = Domain({"image": Image(64, 64, 3)})
    drawn = fitted(domain).sample(2)
    assert drawn["image"][0].shape == (64, 64, 3)


def test_many_more_pictures_are_drawn_in_no_more_memory():
    generator = fitted(IMAGES).generator_

    def peak(n):
        tracemalloc.start()
        for _ in generator.sample_batches(n):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(40_000) < 1.5 * peak(20_000)


# Subjects: as for tables in test_subjects.py.


def exact_sums(table, domain, unit, monkeypatch):
    caught = []

    def catch(sums, blocks, **_):
        caught.append((sums.copy(), blocks))
        return np.zeros_like(sums)

    monkeypatch.setattr("keshi.synthesis.embedding.release", catch)
    embed_table(table, domain, QUICK, epsilon=1.0, delta=1e-5, unit=unit)
    return caught


@pytest.mark.parametrize("domain", [IMAGES, WINDOWS], ids=["images", "windows"])
@settings(max_examples=25)
@given(st.lists(st.integers(0, 31), min_size=1, max_size=9), st.none() | st.integers(1, 3))
def test_adding_a_subject_with_any_number_of_arrays_stays_within_the_sensitivity(domain, rows, max_records):
    extremes = pd.concat(neighbouring_tables(domain, rows=1, extremes=32).extremes, ignore_index=True)
    others = records(domain, 3).assign(who=["a", "b", "c"])
    new = extremes.iloc[rows].assign(who="new")
    unit = PrivacyUnit("add-or-remove", "who", max_records)
    with pytest.MonkeyPatch.context() as patch:
        without = exact_sums(others, domain, unit, patch)
        together = exact_sums(pd.concat([others, new], ignore_index=True), domain, unit, patch)
    for (before, blocks), (after, _) in zip(without, together, strict=True):
        moves = np.split((after - before).astype(float), np.cumsum([block.size for block in blocks])[:-1])
        for block, moved in zip(blocks, moves, strict=True):
            assert 0 < np.linalg.norm(moved) <= block.sensitivity


def test_one_subject_with_many_windows_counts_once():
    table = pd.concat(
        [records(WINDOWS, 300).assign(who="hoarder"), records(WINDOWS, 50).assign(who=range(50))]
    )
    unit = PrivacyUnit("add-or-remove", "who")
    embedding = embed_table(table, WINDOWS, QUICK, epsilon=10.0, delta=1e-5, unit=unit)
    assert embedding.count == pytest.approx(51, abs=40)  # as records it would be 350
    assert "one subject (column who)" in embedding.statement.sentence


# The audit: its neighbouring tables follow the domain, and its checks pass.


@ALL
def test_extreme_arrays_reach_every_bound_and_follow_the_domain(domain):
    tables = neighbouring_tables(domain, rows=5, extremes=8)
    encoder = TableEncoder(domain)
    base = encoder.encode(tables.base).vectors
    slots = [slot for slot in domain.slots if slot.kind == "array"]
    extremes = encoder.encode(pd.concat(tables.extremes)).vectors
    for slot in slots:
        own = slice(slot.start, slot.stop)
        assert np.abs(base[:, own]).max() < 1
        assert (extremes[0, own] == -1).all()
        assert (extremes[1, own] == 1).all()
        assert np.linalg.norm(extremes[:, own], axis=1).max() == pytest.approx(
            np.sqrt(slot.stop - slot.start)
        )
    refusing = Domain(domain.columns, label=domain.label, outside="refuse")
    TableEncoder(refusing).encode(neighbouring_tables(refusing, rows=5, extremes=8).with_all())


@pytest.mark.real_noise
@pytest.mark.parametrize(
    ("domain", "unit"),
    [
        (IMAGES, PrivacyUnit("replace-one")),
        (WINDOWS, PrivacyUnit("add-or-remove", "who", 2)),
        (MIXED, PrivacyUnit()),
    ],
    ids=["images", "windows", "mixed"],
)
def test_the_mechanism_of_arrays_passes_its_audit(domain, unit):
    found = audit_mechanism(
        domain,
        PaperPreset(frequencies=2),
        epsilon=1.0,
        delta=1e-5,
        unit=unit,
        bound=lower_bounds,
        trials=300,
    )
    assert not found.failed
    assert 0.5 < found.reached <= 1.0
    assert found.bounds.epsilon_bound <= 1.0


@pytest.mark.real_noise
def test_bounds_that_are_read_off_the_images_are_flagged(monkeypatch):
    """A mutant: pixels scaled by the brightest of the batch."""
    from keshi.records import arrays, tables

    read = arrays.read_arrays

    def scaled_by_the_batch(name, column, series, *, outside):
        values, problems = read(name, column, series, outside=outside)
        share = (values + 1) / max(float((values + 1).max()), 2**-20)
        return np.rint((share * 2 - 1) * 2**20) / 2**20, problems

    monkeypatch.setattr(tables, "read_arrays", scaled_by_the_batch)
    found = audit_mechanism(
        IMAGES,
        PaperPreset(frequencies=2),
        epsilon=1.0,
        delta=1e-5,
        unit=PrivacyUnit(),
        bound=lower_bounds,
        trials=300,
    )
    assert any("encoded by itself" in check.name for check in found.failed)
