from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from keshi.auditing.labels import macro_f1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_macro_f1_agrees_with_scikit_learn_over_the_labels_that_occur(rows: list[tuple[int, int]]) -> None:
    truth, said = (np.array(column) for column in zip(*rows, strict=True))
    expected = f1_score(truth, said, labels=np.unique(truth), average="macro", zero_division=0)
    assert macro_f1(truth, said) == pytest.approx(expected)


def test_no_rows_give_no_figure() -> None:
    assert math.isnan(macro_f1(np.array([]), np.array([])))
