from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.errors import DomainError, RecordsError
from keshi.records.recordings import read_recordings
from keshi.records.windows import (
    WINDOW_PRESETS,
    Recording,
    Standardizer,
    Windows,
    segment,
    segment_preset,
    window_starts,
)


def counted(length: int, *, label: int = 0, subject: int = 1, trial: int = 1, channels: int = 2) -> Recording:
    """A recording whose channel 0 counts samples, so that a window tells where it was cut."""
    x = np.zeros((length, channels), dtype=np.float32)
    x[:, 0] = np.arange(length)
    return Recording(x, label, subject, trial, 100.0)


@given(st.integers(0, 200), st.integers(1, 40), st.integers(1, 40))
def test_window_starts_agree_with_both_loops_written_out(length: int, window: int, stride: int) -> None:
    full = [s for s in range(0, length, stride) if s + window <= length]
    half_open = list(range(0, length - window, stride))
    assert window_starts(length, window=window, stride=stride, counting="full").tolist() == full
    assert window_starts(length, window=window, stride=stride, counting="half-open").tolist() == half_open


def test_the_half_open_rule_drops_exactly_the_window_that_ends_with_the_recording() -> None:
    recordings = [counted(60), counted(61, trial=2)]
    assert len(segment(recordings, counting="full")) == 3 + 3
    assert len(segment(recordings, counting="half-open")) == 2 + 3


def test_windows_never_cross_recordings_and_remember_where_they_began() -> None:
    windows = segment(
        [counted(47, label=3, subject=8), counted(65, label=4, subject=9)], window=30, stride=15
    )
    assert windows.x.shape == (2 + 3, 2, 30)
    assert windows.x.dtype == np.float32
    assert windows.trial.tolist() == [0, 0, 1, 1, 1]
    assert windows.label.tolist() == [3, 3, 4, 4, 4]
    assert windows.subject.tolist() == [8, 8, 9, 9, 9]
    np.testing.assert_array_equal(windows.x[:, 0], windows.start[:, None] + np.arange(30))


def test_labels_of_mixed_types_become_text_and_integers_stay_integers() -> None:
    windows = segment([counted(30, label=1), Recording(np.zeros((30, 2)), "run", "Ann", 1)])
    assert windows.label.tolist() == ["1", "run"]
    assert segment([counted(30)]).subject.dtype == np.int64


def test_a_recording_shorter_than_a_window_is_named_or_skipped() -> None:
    recordings = [counted(40), counted(20, label=5, subject=7, trial=2)]
    with pytest.raises(
        RecordsError,
        match=r"1 of 2 recordings are shorter than a window of 30 samples: subject 7, label 5, trial 2",
    ):
        segment(recordings)
    assert len(segment(recordings, too_short="skip")) == 1
    with pytest.raises(RecordsError, match="2 of 2 recordings"):
        segment([counted(5), counted(6)], too_short="skip")


def test_differing_channels_and_no_recordings_are_refused() -> None:
    with pytest.raises(
        RecordsError, match=r"most have 2, but subject 1, label 0, trial 9 has shape \(40, 3\)"
    ):
        segment([counted(40), counted(40), counted(40, trial=9, channels=3)])
    with pytest.raises(RecordsError, match="no recordings"):
        segment([])
    with pytest.raises(RecordsError, match=r"\(n, channels, length\)"):
        Windows(np.zeros((2, 3)), *(np.zeros(2) for _ in range(4)))
    with pytest.raises(ValueError, match="stride must be a whole number of at least 1, got 0"):
        segment([counted(40)], stride=0)


def test_a_preset_refuses_other_people_and_other_counts() -> None:
    with pytest.raises(DomainError, match=r"needs USC-HAD subjects 1 to 13; \[12, 13\] are missing"):
        segment_preset([counted(60, subject=s) for s in range(1, 12)], "uschad-paper")
    with pytest.raises(DomainError, match=r"must give 172,169 windows, these recordings give 26"):
        segment_preset([counted(60, subject=s) for s in range(1, 15)], "uschad-paper")
    with pytest.raises(ValueError, match="preset must be one of uschad-paper, uschad-full"):
        segment_preset([counted(60)], "uschad")


def test_the_paper_preset_uses_thirteen_people_and_the_half_open_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import replace

    # Fourteen people, one recording of 60 samples each: half-open gives 2 windows, full gives 3.
    monkeypatch.setitem(WINDOW_PRESETS, "uschad-paper", replace(WINDOW_PRESETS["uschad-paper"], expected=26))
    monkeypatch.setitem(WINDOW_PRESETS, "uschad-full", replace(WINDOW_PRESETS["uschad-full"], expected=42))
    recordings = [counted(60, subject=s) for s in range(1, 15)]
    assert segment_preset(recordings, "uschad-paper").subjects == tuple(range(1, 14))
    assert segment_preset(recordings, "uschad-full").subjects == tuple(range(1, 15))


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="needs the real USC-HAD in KESHI_DATA")
def test_the_presets_meet_the_published_window_counts_of_usc_had() -> None:
    recordings = read_recordings(Path(os.environ["KESHI_DATA"]) / "usc-had" / "uschad_all.npz")
    assert len(segment_preset(recordings, "uschad-paper")) == 172_169
    assert len(segment_preset(recordings, "uschad-full")) == 186_307


def test_scaling_gives_mean_zero_and_deviation_one_on_training_windows_only() -> None:
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(50, 3, 20)) * [[5.0], [0.01], [200.0]] + [[1.0], [-3.0], [9.8]]).astype(
        np.float32
    )
    scaler = Standardizer.fit(train)
    scaled = scaler.apply(train)
    np.testing.assert_allclose(scaled.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(scaler.apply(train + 100)[:, 0].mean(), 100 / scaler.std[0], rtol=1e-2)


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3), st.integers(0, 2**32 - 1))
def test_scaling_can_be_undone(offset: float, spread: float, seed: int) -> None:
    x = (np.random.default_rng(seed).normal(size=(8, 2, 10)) * spread + offset).astype(np.float32)
    scaler = Standardizer.fit(x)
    # Single precision: a few units in the last place of the largest number that occurs.
    np.testing.assert_allclose(scaler.invert(scaler.apply(x)), x, atol=1e-5 * (abs(offset) + 10 * spread))


def test_a_channel_that_never_changes_is_only_centred() -> None:
    x = np.full((4, 2, 10), 9.81, dtype=np.float32)
    x[:, 1] = np.arange(10)
    scaler = Standardizer.fit(x)
    assert scaler.std[0] == 1
    np.testing.assert_allclose(scaler.apply(x)[:, 0], 0, atol=1e-5)
    np.testing.assert_allclose(scaler.invert(scaler.apply(x)), x, atol=1e-5)


def test_scaling_refuses_other_channels_and_no_windows() -> None:
    scaler = Standardizer.fit(np.ones((2, 3, 4), dtype=np.float32))
    with pytest.raises(DomainError, match=r"expected windows \(n, 3 channels, length\).*\(2, 4, 4\)"):
        scaler.apply(np.ones((2, 4, 4)))
    with pytest.raises(RecordsError, match="no windows"):
        Standardizer.fit(np.ones((0, 3, 4)))


def test_further_columns_follow_their_windows_and_samples_are_averaged() -> None:
    x = np.zeros((30, 2), dtype=np.float32)
    pulse = np.arange(30.0)
    recordings = [
        Recording(x, "run", "Ann", further={"worn": "left", "height": 164, "pulse": pulse}),
        Recording(x[:20], "sit", "Bob", further={"worn": "right", "height": 171.5, "pulse": pulse[:20]}),
    ]
    windows = segment(recordings, window=10, stride=10)
    assert windows.further["worn"].tolist() == ["left"] * 3 + ["right"] * 2
    assert windows.further["height"].tolist() == [164] * 3 + [171.5] * 2
    assert windows.further["pulse"].tolist() == [4.5, 14.5, 24.5, 4.5, 14.5]
    assert windows.take(np.array([4, 0])).further["pulse"].tolist() == [14.5, 4.5]
    with pytest.raises(RecordsError, match="same further columns; some lack one of \\['height'\\]"):
        segment([Recording(x, 0, 1, further={"height": 1}), Recording(x, 0, 1)], window=10)
