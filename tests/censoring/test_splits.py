from __future__ import annotations

import numpy as np
import pytest

from keshi.censoring.splits import SPLIT_KINDS, choose_unknown, split_people, training_rows
from keshi.errors import DomainError
from keshi.records.windows import Recording, Windows, segment


def people(subjects: int = 5, labels: int = 2, trials: int = 2, length: int = 330) -> Windows:
    return segment(
        [
            Recording(np.zeros((length, 1), dtype=np.float32), y, s, t)
            for s in range(1, subjects + 1)
            for y in range(labels)
            for t in range(trials)
        ]
    )


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_strangers_are_in_no_other_part_and_parts_do_not_overlap(kind: str) -> None:
    windows = people()
    split = split_people(windows, unknown=(2, 5), kind=kind)
    assert split.known == (1, 3, 4)
    assert set(windows.subject[split.test_unknown].tolist()) == {2, 5}
    assert len(split.test_unknown) == (windows.subject == 2).sum() * 2
    for part in (split.train, split.test_known):
        assert set(windows.subject[part].tolist()) == {1, 3, 4}
    parts = np.concatenate([split.train, split.test_known, split.test_unknown])
    assert len(np.unique(parts)) == len(parts)


def test_a_random_split_holds_out_a_tenth_of_the_known_windows_and_uses_all_others() -> None:
    windows = people()
    split = split_people(windows, unknown=(5,), kind="random", seed=1)
    n = int((windows.subject != 5).sum())
    assert len(split.test_known) == round(0.1 * n)
    assert len(split.train) == n - len(split.test_known)
    other = split_people(windows, unknown=(5,), kind="random", seed=2)
    assert not np.array_equal(split.test_known, other.test_known)


def test_a_blocked_split_shares_no_sample_between_training_and_test() -> None:
    windows = people()
    split = split_people(windows, unknown=(5,), kind="blocked")
    for trial in np.unique(windows.trial[split.train]):
        train = windows.start[split.train[windows.trial[split.train] == trial]]
        test = windows.start[split.test_known[windows.trial[split.test_known] == trial]]
        assert train.max() + windows.length <= test.min()  # test is the tail
        assert len(test) == 2  # a tenth of 21, rounded
        assert len(train) == 21 - 2 - 1  # one window between them is dropped


def test_a_random_split_does_share_samples_which_is_why_the_other_two_exist() -> None:
    windows = people()
    split = split_people(windows, unknown=(5,), kind="random")
    neighbours = set(
        zip(windows.trial[split.train].tolist(), (windows.start[split.train] + 15).tolist(), strict=True)
    )
    held_out = zip(
        windows.trial[split.test_known].tolist(), windows.start[split.test_known].tolist(), strict=True
    )
    assert any(window in neighbours for window in held_out)


def test_a_trial_split_holds_out_whole_recordings_of_every_person_and_label() -> None:
    windows = people(trials=3)
    split = split_people(windows, unknown=(5,), kind="trials")
    assert not set(windows.trial[split.train].tolist()) & set(windows.trial[split.test_known].tolist())
    held = {(windows.subject[i].item(), windows.label[i].item()) for i in split.test_known}
    assert held == {(s, y) for s in (1, 2, 3, 4) for y in (0, 1)}


def test_unknown_people_are_the_last_three_tenths_unless_named() -> None:
    assert choose_unknown(range(1, 15)) == (11, 12, 13, 14)  # as in the paper
    assert choose_unknown(range(1, 11)) == (8, 9, 10)
    assert choose_unknown([1, 2, 3]) == (3,)
    assert choose_unknown([1, 2]) == ()
    assert split_people(people(subjects=2)).unknown == ()


def test_whoever_a_draw_of_training_windows_misses_is_trained_on_all_the_same() -> None:
    windows, train = people(), np.arange(100)
    assert training_rows(windows, train, most=None, seed=0) is train
    assert training_rows(windows, train, most=100, seed=0) is train
    whole = np.arange(len(windows))
    drawn = training_rows(windows, whole, most=60, seed=0)
    # nobody is missing here, so it is the draw that sweeps have always made
    np.testing.assert_array_equal(drawn, np.sort(np.random.default_rng(0).choice(whole, 60, replace=False)))
    few = training_rows(windows, whole, most=2, seed=0)  # two windows are of two people at most
    assert set(windows.subject[few].tolist()) == {1, 2, 3, 4, 5}
    assert len(np.unique(few)) == len(few)


def test_errors_say_who_is_missing_and_what_to_do() -> None:
    windows = people(subjects=3)
    with pytest.raises(
        DomainError, match=r"unknown subjects \[9\] do not occur; the subjects are \[1, 2, 3\]"
    ):
        split_people(windows, unknown=(9,))
    with pytest.raises(
        DomainError, match="at least 2 known subjects are needed to learn what to erase, got 1 of 3"
    ):
        split_people(windows, unknown=(2, 3))
    with pytest.raises(DomainError, match=r"only one label \(0\)"):
        split_people(people(labels=1))
    single = people(trials=1, labels=2)
    one = single.take((single.subject != 2) | (single.label == 0))
    with pytest.raises(DomainError, match=r"subjects \[2\] have one recording each. Use the split 'blocked'"):
        split_people(one, kind="trials")
    with pytest.raises(ValueError, match="kind must be one of random, blocked, trials"):
        split_people(windows, kind="all")
    with pytest.raises(ValueError, match="held_out must lie strictly between 0 and 1"):
        split_people(windows, held_out=1.0)
    with pytest.raises(DomainError, match="no window is held out"):
        split_people(people(length=45), held_out=0.1)


def test_a_person_with_one_short_recording_survives_a_blocked_split() -> None:
    windows = people(subjects=3, length=60)  # three windows a recording: one held out, one dropped, one left
    split = split_people(windows, unknown=(3,))
    assert len(split.train) == len(split.test_known) == 8
