from __future__ import annotations

import numpy as np
import pytest

from keshi.censoring.censor import Censor
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.export import check_onnx, onnx_bytes
from keshi.censoring.training import Schedule

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def fitted(channels: int, length: int) -> tuple[CensoredEncoder, np.ndarray]:
    """A plain encoder after a few steps, and windows with offsets and units of their own."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.integers(-2, 3, size=(channels, 1))
    x = (rng.normal(size=(64, channels, length)) * scale + 3 * scale).astype(np.float32)
    schedule = Schedule(pretrain_epochs=3, pretrain_rate=1e-2, rounds=0, batch_size=16)
    return Censor("cnn", preset=schedule, features=20).fit(x, np.arange(64) % 3).encoder_, x


@pytest.mark.parametrize(("channels", "length"), [(6, 30), (1, 12), (3, 77), (9, 1)])
def test_onnxruntime_gives_the_same_features_and_probabilities(channels: int, length: int) -> None:
    encoder, x = fitted(channels, length)
    data = onnx_bytes(encoder)
    found = check_onnx(data, encoder, x, repeats=3)
    assert found.largest_difference <= 1e-5
    assert found.size == len(data) < 200_000
    assert found.single > 0
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    features, probabilities = session.run(None, {"windows": x})
    np.testing.assert_allclose(features, encoder.transform(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(probabilities, encoder.predict_proba(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("channels", "length"), [(6, 30), (2, 12), (9, 1)])
def test_a_robust_encoder_asks_for_noise_and_gives_the_same_features_with_it(
    channels: int, length: int
) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(64, channels, length)) * 3 + 1).astype(np.float32)
    schedule = Schedule(
        pretrain_epochs=2, pretrain_rate=1e-2, rounds=0, batch_size=16, features=20, noise=0.5
    )
    encoder = Censor("cnn", preset=schedule).fit(x, np.arange(64) % 3).encoder_
    data = onnx_bytes(encoder)
    assert check_onnx(data, encoder, x, repeats=2).largest_difference <= 1e-5
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["windows", "noise"]
    noise = np.zeros((64, 20), dtype=np.float32)
    features = session.run(["features"], {"windows": x, "noise": noise})[0]
    np.testing.assert_allclose(features, encoder.without_noise(x), rtol=1e-5, atol=1e-5)
    with_noise = {"windows": x, "noise": encoder.drawn_noise(x)}
    np.testing.assert_allclose(
        session.run(["probabilities"], with_noise)[0], encoder.predict_proba(x), rtol=1e-4, atol=1e-6
    )


def test_an_export_of_another_encoder_is_refused() -> None:
    encoder, x = fitted(2, 12)
    other = Censor("cnn", preset=Schedule(pretrain_epochs=1, rounds=0), features=20, seed=1)
    other.fit(x, np.arange(64) % 3)
    with pytest.raises(RuntimeError, match="differs from the trained one"):
        check_onnx(onnx_bytes(other.encoder_), encoder, x)
