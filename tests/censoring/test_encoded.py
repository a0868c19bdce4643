from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from keshi.artifacts import store
from keshi.censoring.encoded import KIND, CensoredEncoder
from keshi.censoring.encoders import ConvEncoder, LabelHead
from keshi.errors import ArtifactError, DomainError, RecordsError
from keshi.records.windows import Standardizer


def encoder_of(length: int = 30) -> CensoredEncoder:
    g = torch.Generator().manual_seed(0)
    scaler = Standardizer(np.array([1.0, -2.0], np.float32), np.array([3.0, 0.5], np.float32))
    networks = ConvEncoder(2, length, features=7, generator=g), LabelHead(7, 3, generator=g)
    return CensoredEncoder.of(
        *networks, scaler=scaler, labels=(1, 5, 9), channels=2, length=length, settings={"method": "sct"}
    )


X = np.random.default_rng(0).normal(size=(6, 2, 30)).astype(np.float32)


def test_probabilities_predictions_and_z_belong_together() -> None:
    encoder = encoder_of()
    p = encoder.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert encoder.predict(X).tolist() == [(1, 5, 9)[i] for i in p.argmax(axis=1)]
    logits = (
        encoder.transform(X) @ encoder.weights["head.linear.weight"].T + encoder.weights["head.linear.bias"]
    )
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(logits), 1).numpy(), p, atol=1e-6)


def test_windows_are_scaled_with_the_statistics_it_carries() -> None:
    encoder = encoder_of()
    plain = CensoredEncoder(
        encoder.weights,
        Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32)),
        encoder.labels,
        2,
        30,
        {},
    )
    np.testing.assert_allclose(encoder.transform(X), plain.transform(encoder.scaler.apply(X)), atol=1e-6)


def test_later_training_does_not_reach_a_frozen_copy() -> None:
    g = torch.Generator().manual_seed(0)
    network, head = ConvEncoder(2, 30, features=7, generator=g), LabelHead(7, 3, generator=g)
    scaler = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    frozen = CensoredEncoder.of(
        network, head, scaler=scaler, labels=(0, 1, 2), channels=2, length=30, settings={}
    )
    z = frozen.transform(X)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    fresh = CensoredEncoder(frozen.weights, scaler, (0, 1, 2), 2, 30, {})
    np.testing.assert_array_equal(fresh.transform(X), z)


def test_other_windows_are_refused() -> None:
    with pytest.raises(DomainError, match=r"takes windows \(n, 2 channels, 30 samples\).*\(6, 2, 20\)"):
        encoder_of().transform(X[:, :, :20])
    with pytest.raises(RecordsError, match="missing or infinite"):
        encoder_of().predict(X * np.nan)


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba"])
def test_what_is_no_window_of_numbers_or_too_large_is_refused_instead_of_giving_nan(method: str) -> None:
    use = getattr(encoder_of(), method)
    for wrong in (X.astype(str), X.astype(object), X + 1j, [["a"]], None):
        with pytest.raises(RecordsError, match="x must be windows of real numbers"):
            use(wrong)
    with pytest.raises(RecordsError, match=r"too large for single precision \(the largest is .*e\+300\)"):
        use(np.ones((1, 2, 30)) * 1e300)


def test_windows_that_overflow_inside_the_network_are_refused_too() -> None:
    encoder = encoder_of()
    weights = {name: value * (1e30 if "layers.0" in name else 1) for name, value in encoder.weights.items()}
    strong = CensoredEncoder(weights, encoder.scaler, encoder.labels, 2, 30, {})
    assert np.isfinite(strong.transform(X)).all()
    with pytest.raises(RecordsError, match="too large for single precision"):
        strong.transform(X * np.float32(1e20))


def test_integer_labels_survive_saving(tmp_path: Path) -> None:
    encoder_of().save(tmp_path / "e")
    loaded = CensoredEncoder.load(tmp_path / "e")
    assert loaded.labels == (1, 5, 9)
    assert loaded.settings == {"method": "sct"}
    np.testing.assert_array_equal(loaded.transform(X), encoder_of().transform(X))


def saved(path: Path, *, settings: dict, tensors: dict[str, np.ndarray] | None = None) -> Path:
    good = dict(encoder_of().weights)
    good["scaler.mean"], good["scaler.std"] = np.zeros(2, np.float32), np.ones(2, np.float32)
    whole = {"labels": [1, 5, 9], "channels": 2, "length": 30, "training": {}}
    content = store.tensors_to_bytes(good if tensors is None else tensors)
    store.save(path, kind=KIND, settings={**whole, **settings}, files={"encoder.safetensors": content})
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"labels": [1, 5]}},  # one label fewer than the head has
        {"settings": {"channels": 3}},
        {"settings": {"length": 5}},
        {"settings": {"labels": None}},
        {"settings": {"noise": 0.3}},  # without a key everybody could compute it
        {"settings": {"label_dtype": "<U9"}},
        {"settings": {"labels": [1, 5, 300], "label_dtype": "|i1"}},
        {"settings": {}, "tensors": {"scaler.mean": np.zeros(2, np.float32)}},
    ],
)
def test_a_folder_whose_parts_do_not_fit_is_refused_when_loaded(tmp_path: Path, change: dict) -> None:
    with pytest.raises(ArtifactError, match=r"bad is no complete censored encoder"):
        CensoredEncoder.load(saved(tmp_path / "bad", **change))
    CensoredEncoder.load(saved(tmp_path / "good", settings={}))


def test_another_kind_of_artefact_is_refused(tmp_path: Path) -> None:
    store.save(tmp_path / "other", kind="audit", settings={}, files={})
    with pytest.raises(ArtifactError, match="censored-encoder"):
        CensoredEncoder.load(tmp_path / "other")
