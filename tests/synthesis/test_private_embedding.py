from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from scipy.optimize import minimize

from keshi.artifacts import store
from keshi.errors import ArtifactError
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.embedding import embed
from keshi.synthesis.features import AMPLITUDE, ClassCounts, SpreadStatistic
from keshi.synthesis.marginal_plan import Resolution
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import CLASS
from keshi.synthesis.presets import KeshiPreset, PaperPreset
from keshi.synthesis.private_embedding import Plan, PrivateEmbedding, project_to_simplex, share_of_mu
from keshi.synthesis.synthesizer import train

DOMAIN = Domain({"c": Categorical(("a", "b")), "n": Numerical(0, 1), "y": Categorical((0, 1))}, label="y")


@pytest.fixture(scope="module")
def embedding() -> PrivateEmbedding:
    random = np.random.default_rng(0)
    batch = EncodedBatch(random.integers(-(2**20), 2**20, (90, 3)) / 2**20, random.integers(0, 2, 90))
    unit = PrivacyUnit(relation="replace-one")
    return embed(
        lambda: [batch], DOMAIN, PaperPreset(frequencies=6), epsilon=1.0, delta=1e-5, unit=unit, seed=3
    )


@pytest.mark.parametrize("name", ["e", "e.zip"])
def test_an_embedding_comes_back_from_its_file_bit_for_bit(embedding, tmp_path: Path, name: str) -> None:
    embedding.save(tmp_path / name)
    back = PrivateEmbedding.load(tmp_path / name)
    assert (back.domain, back.unit, back.statement) == (embedding.domain, embedding.unit, embedding.statement)
    assert (back.preset, back.public_count) == ("paper", 90)
    for one, other in zip(embedding.measurements, back.measurements, strict=True):
        assert one.plan.hash == other.plan.hash
        assert one.sums.tobytes() == other.sums.tobytes()
        assert (one.scales, one.mu, one.plan.shares) == (other.scales, other.mu, other.plan.shares)
    back.save(tmp_path / f"again-{name}")
    if name == "e":
        for path in (tmp_path / "e").iterdir():
            assert (tmp_path / "again-e" / path.name).read_bytes() == path.read_bytes()


def test_values_are_the_sums_of_their_block_in_units_of_one_record(embedding) -> None:
    measured = embedding.measurement(ClassCounts)
    assert measured.values(CharacteristicFeatures).shape == (24,)
    counts = measured.values(ClassCounts)
    assert abs(counts.sum() - 90) < 8 * measured.noise_std(ClassCounts)
    assert embedding.class_counts.sum() == pytest.approx(90)
    assert (embedding.class_counts >= 0).all()
    assert embedding.measurement(SpreadStatistic) is embedding.measurements[0]


def test_mu_is_shared_so_that_squares_add_up() -> None:
    assert sum(part**2 for part in share_of_mu(0.7, (0.05, 0.95))) == pytest.approx(0.49)


@pytest.mark.parametrize("total", [0.0, 1.0])
def test_the_projection_onto_nothing_or_next_to_nothing_is_one(total) -> None:
    """A column that is missing everywhere leaves 0 to its intervals; 1 is lost in the rounding of 1e18."""
    for values in ([-3.0, 2.0, 2.0], [0.0], [1e18, 3.0]):
        found = project_to_simplex(np.array(values), total)
        assert (found >= 0).all()
        assert found.sum() <= total + 1e-9


@settings(max_examples=40)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=5), st.floats(0.5, 30))
def test_the_projection_is_the_nearest_point_of_the_simplex(values, total) -> None:
    noisy = np.array(values)
    found = project_to_simplex(noisy, total)
    assert found.sum() == pytest.approx(total)
    assert (found >= 0).all()
    brute = minimize(
        lambda x: ((x - noisy) ** 2).sum(), np.full(len(noisy), total / len(noisy)), method="SLSQP",
        jac=lambda x: 2 * (x - noisy), bounds=[(0, None)] * len(noisy),
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": lambda x: np.ones(len(noisy))},
        options={"ftol": 1e-12, "maxiter": 500},
    ).x  # fmt: skip
    assert ((found - noisy) ** 2).sum() <= ((brute - noisy) ** 2).sum() + 1e-6


def altered(folder: Path, *, tensors=None, manifest=None, domain=None, statement=None) -> None:
    """Change parts and write the right checksums: what someone does who knows the format."""
    listing = json.loads((folder / "manifest.json").read_text())
    changes = {
        "measurements.safetensors": tensors and (lambda raw: save(tensors(load(raw)))),
        "domain.toml": domain and (lambda raw: domain(raw.decode()).encode()),
        "statement.json": statement and (lambda raw: json.dumps(statement(json.loads(raw))).encode()),
    }
    for name, change in changes.items():
        if change:
            (folder / name).write_bytes(change((folder / name).read_bytes()))
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            listing["files"][name] = digest
    if manifest:
        manifest(listing["settings"])
    (folder / "manifest.json").write_text(json.dumps(listing))


def without(key):
    return lambda settings: settings.pop(key)


def put(value, *path):
    def change(settings):
        for key in path[:-1]:
            settings = settings[key]
        settings[path[-1]] = value

    return change


def scale(change):
    def changed(settings):
        scales = settings["measurements"][0]["scales"]
        scales[0] = change(scales[0])

    return changed


CASES = {
    "a frequency": {"tensors": lambda t: {**t, "1.0.frequencies": t["1.0.frequencies"] * 2}},
    "off the grid": {"tensors": lambda t: {**t, "1.0.frequencies": t["1.0.frequencies"] + 1e-9}},
    "fewer sums": {"tensors": lambda t: {**t, "0.sums": t["0.sums"][:-1]}},
    "float sums": {"tensors": lambda t: {**t, "0.sums": t["0.sums"].astype(float)}},
    "no sums": {"tensors": lambda t: {k: v for k, v in t.items() if k != "1.sums"}},
    "swapped sums": {"tensors": lambda t: {**t, "0.sums": t["1.sums"], "1.sums": t["0.sums"]}},
    "flat frequencies": {"tensors": lambda t: {**t, "1.0.frequencies": t["1.0.frequencies"].ravel()}},
    "an unknown tensor": {"tensors": lambda t: {**t, "1.0.extra": t["0.sums"]}},
    "no measurements": {"manifest": without("measurements")},
    "no unit": {"manifest": without("unit")},
    "measurements no list": {"manifest": put(3, "measurements")},
    "an unknown block": {"manifest": put("magic", "measurements", 0, "blocks", 0, "kind")},
    "another class count": {"manifest": put(3, "measurements", 1, "blocks", 1, "settings", "n_classes")},
    "other shares": {"manifest": put([0.5, 0.5], "measurements", 1, "shares")},
    "other plan hash": {"manifest": put("0" * 64, "measurements", 0, "plan_hash")},
    "a larger scale than mu needs": {"manifest": scale(lambda found: found * 2)},
    "a scale between whole numbers": {"manifest": scale(lambda found: found + 0.5)},
    "a measurement forgotten": {"manifest": lambda settings: settings["measurements"].pop(0)},
    "no scale": {"manifest": put([], "measurements", 0, "scales")},
    "scale of nothing": {"manifest": put([0], "measurements", 0, "scales")},
    "no mu": {"manifest": put("none", "measurements", 0, "mu")},
    "another relation": {"manifest": put("both", "unit", "relation")},
    "a hidden count": {"manifest": put(None, "public_count")},
    "no count": {"manifest": put(0, "public_count")},
    "another domain": {"domain": lambda text: text.replace('["a", "b"]', '["a", "b", "c"]')},
    "more classes": {"domain": lambda text: text.replace("[0, 1]", "[0, 1, 2]")},
    "no domain": {"domain": lambda text: "x ="},
    "no statement": {"statement": lambda s: {}},
    "statement no table": {"statement": lambda s: [1]},
}


@pytest.mark.parametrize("case", CASES)
def test_parts_that_do_not_fit_together_are_refused_with_a_typed_error(embedding, tmp_path, case) -> None:
    folder = tmp_path / "e"
    embedding.save(folder)
    altered(folder, **CASES[case])
    with pytest.raises(ArtifactError) as refused:
        PrivateEmbedding.load(folder)
    assert (
        str(folder) in str(refused.value)
        or ".safetensors" in str(refused.value)
        or ".json" in str(refused.value)
    )


def test_a_flipped_bit_is_refused_by_the_checksum(embedding, tmp_path: Path) -> None:
    embedding.save(tmp_path / "e")
    path = tmp_path / "e" / "measurements.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match="measurements"):
        PrivateEmbedding.load(tmp_path / "e")


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0.01},
        {"mu": 0.001},
        {"unit": "adding or removing one subject (column id)"},
        {"measurements": ["x"]},
        {"delta": 1e-12},
    ],
)
def test_a_statement_that_promises_more_than_the_noise_gives_does_not_load(
    embedding, tmp_path, change
) -> None:
    """Whoever rewrites the statement rewrites its hash too; the contradiction still shows."""
    embedding.save(tmp_path / "e")
    artifact = store.load(tmp_path / "e")
    statement = store.json_from_bytes(artifact.files["statement.json"], source="statement.json") | change
    files = artifact.files | {"statement.json": store.json_to_bytes(statement)}
    store.save(tmp_path / "forged", kind="embedding", settings=artifact.settings, files=files)
    with pytest.raises(ArtifactError, match="do not fit together"):
        PrivateEmbedding.load(tmp_path / "forged")


@pytest.fixture(scope="module")
def marginals() -> PrivateEmbedding:
    random = np.random.default_rng(0)
    batch = EncodedBatch(random.integers(-(2**20), 2**20, (90, 3)) / 2**20, random.integers(0, 2, 90))
    preset = KeshiPreset(resolution=Resolution(leaves=8, zoom=2))
    return embed(lambda: [batch], DOMAIN, preset, epsilon=1.0, delta=1e-5, unit=PrivacyUnit())


def forged(embedding: PrivateEmbedding, folder: Path, index: int, change) -> Path:
    """Save with the settings of one measurement's marginals changed, and the plan's hash made to fit."""
    embedding.save(folder)
    artifact = store.load(folder)
    entry = artifact.settings["measurements"][index]
    block = entry["blocks"][0]
    change(block["settings"])
    with contextlib.suppress(ValueError, IndexError, TypeError):  # no plan has these settings
        features = (MarginalFeatures(**block["settings"]), *embedding.measurements[index].plan.features[1:])
        entry["plan_hash"] = Plan(features, tuple(entry["shares"]), entry["what"]).hash
    store.save(
        folder.with_name("forged"), kind="embedding", settings=artifact.settings, files=dict(artifact.files)
    )
    return folder.with_name("forged")


def weights(change):
    return lambda settings: settings.update(weights=[change(weight) for weight in settings["weights"]])


MARGINALS = {
    "weights so that the noise looks larger": weights(lambda weight: max(1, weight // 2)),
    "weights so that the noise looks smaller": weights(lambda weight: min(AMPLITUDE, weight * 2)),
    "weights of another type": weights(lambda weight: True),
    "a column that is none": put(1, "partitions", 0, 0),
    "another number of categories": put(9, "partitions", 0, 1),
    "categories with edges": put([-(2**20), 5, 2**20], "partitions", 0, 2),
    "categories with a missing value beside": put(True, "partitions", 0, 3),
    "a joined cell that is none": put(99, "partitions", 0, 4, 0),
    "a marginal of nothing": put([], "marginals", 0),
    "a marginal of one column twice": put([0, 0], "marginals", 0),
    "a marginal counted from the end": put([-1], "marginals", 0),
    "a marginal beyond": put([99], "marginals", 0),
    "fewer marginals than weights": lambda settings: settings["marginals"].pop(),
}


@pytest.mark.parametrize("case", MARGINALS)
def test_altered_marginals_are_refused_though_every_hash_was_made_to_fit(marginals, tmp_path, case) -> None:
    with pytest.raises(ArtifactError, match="do not fit together"):
        PrivateEmbedding.load(forged(marginals, tmp_path / "e", 1, MARGINALS[case]))


def test_marginals_of_no_plan_of_ours_are_refused_by_the_training(marginals) -> None:
    """Classes joined where the pairs with the label are measured: all fits together, and no mixture follows it."""
    first, second = marginals.measurements
    settings = second.plan.features[0].settings()
    for partition in settings["partitions"]:
        if partition[0] == CLASS:
            partition[4] = [0] * len(partition[4])
    block = MarginalFeatures(**settings)
    second = replace(second, plan=replace(second.plan, features=(block,)), sums=second.sums[: block.size])
    with pytest.raises(ArtifactError, match="not those of preset keshi"):
        train(replace(marginals, measurements=(first, second)))


def test_an_embedding_of_another_preset_is_refused_by_name(embedding, marginals) -> None:
    with pytest.raises(ArtifactError, match="preset 'paper' planned it"):
        train(embedding, preset=KeshiPreset())
    with pytest.raises(ArtifactError, match="preset 'keshi' planned it"):
        train(marginals, preset=PaperPreset(steps=1))
