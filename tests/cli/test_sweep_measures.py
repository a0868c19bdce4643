from __future__ import annotations

import itertools

import numpy as np
import pytest

from keshi.cli.sweep_measures import halves
from keshi.records.windows import Windows

LABELS, PEOPLE = ("sit", "walk"), ("a", "b", "c", "d")


def one_window_each(recordings: list[tuple[str, str]]) -> Windows:
    """One window of every recording, (label, person), in this order."""
    label, person = np.array(recordings).T
    number = np.arange(len(label))
    return Windows(np.zeros((len(label), 1, 8), np.float32), label, person, number, number * 0)


@pytest.mark.parametrize(
    "recordings",
    [
        [(label, person) for person, label in itertools.product(PEOPLE, LABELS)],
        [(label, person) for label, person in itertools.product(LABELS, PEOPLE[:2])],
        [(label, person) for person, label in itertools.product(PEOPLE, [*LABELS, *LABELS])],
    ],
    ids=["labels in turn", "people in turn", "labels in turn, twice"],
)
def test_both_halves_have_all_labels_and_people_whatever_the_order_of_the_recordings(
    recordings: list[tuple[str, str]],
) -> None:
    windows = one_window_each(recordings)
    found = halves(windows)
    np.testing.assert_array_equal(found["_select"], ~found["_report"])
    for half in ("_select", "_report"):
        assert set(windows.label[found[half]]) == set(windows.label)
        assert set(windows.subject[found[half]]) == set(windows.subject)


def test_every_second_recording_is_taken_where_that_parts_nothing() -> None:
    windows = one_window_each([(label, person) for person in PEOPLE for label in LABELS for _ in range(3)])
    np.testing.assert_array_equal(halves(windows)["_select"], windows.trial % 2 == 1)
