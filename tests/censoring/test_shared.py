from __future__ import annotations

import numpy as np
import pytest

from keshi.censoring.shared import COMPONENTS, shared_descriptors


def recordings(n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Windows whose strength is drawn for each; the person is an offset and a gain, the label a frequency."""
    rng = np.random.default_rng(0)
    label, person = np.arange(n) % 2, np.arange(n) // 2 % 4
    strength = np.exp(0.3 * rng.normal(size=n))
    time = np.arange(40)
    x = rng.normal(size=(n, 3, 40)) * 0.1 + person[:, None, None]
    wave = np.sin((0.3 + 0.7 * label[:, None]) * time + rng.uniform(0, 6, size=(n, 1)))
    x[:, 0] += (strength * (1 + person))[:, None] * wave
    return x.astype(np.float32), label, person, strength


def test_within_a_label_no_mean_and_no_variance_differs_between_people() -> None:
    x, label, person, _ = recordings()
    found = shared_descriptors(x, label, person)
    assert found.dtype == np.float32
    assert found.shape == (600, COMPONENTS)
    assert found[:, 0].std() == pytest.approx(1, rel=1e-3)
    for one in range(2):
        cells = [found[(label == one) & (person == somebody)] for somebody in range(4)]
        for cell in cells[1:]:
            np.testing.assert_allclose(cell.mean(axis=0), cells[0].mean(axis=0), atol=1e-5)
    # raw descriptors would: the mean of every channel is the person
    nobody = shared_descriptors(x, label, np.zeros(600, dtype=int))
    ends = [nobody[(label == 0) & (person == somebody)].mean(axis=0) for somebody in (0, 3)]
    assert np.abs(ends[0] - ends[1]).max() > 0.5


def test_strength_and_label_can_be_read_off() -> None:
    x, label, person, strength = recordings()
    found = np.c_[shared_descriptors(x, label, person), np.ones(600)]
    for wanted, least in ((np.log(strength), 0.7), (label, 0.8)):
        guess = found @ np.linalg.lstsq(found, wanted, rcond=None)[0]
        assert np.corrcoef(guess, wanted)[0, 1] > least


@pytest.mark.parametrize(("channels", "length"), [(1, 8), (9, 1), (2, 13)])
def test_any_number_of_channels_and_samples_will_do_and_few_windows_are_left_alone(
    channels: int, length: int
) -> None:
    x = np.random.default_rng(0).normal(size=(20, channels, length)).astype(np.float32)
    found = shared_descriptors(x, np.arange(20) % 2, np.arange(20) // 2)
    assert np.isfinite(found).all()
    assert found.shape[0] == 20
    assert found.shape[1] <= COMPONENTS
    # nobody has six windows of a label, so who it was is not looked at
    np.testing.assert_array_equal(found, shared_descriptors(x, np.arange(20) % 2, np.arange(20)))
    still = np.zeros((20, channels, length), dtype=np.float32)
    assert np.isfinite(shared_descriptors(still, np.arange(20) % 2, np.arange(20) // 2)).all()
