import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.auditing.mixed_distance import COLUMN, distance_blocks, encode_rows, nearest


def table(rows, seed):
    rng = np.random.default_rng(seed)
    pay = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows).round(1))
    city = rng.choice(["a", "b", None], rows)
    return pd.DataFrame({"pay": pay, "city": city, "age": rng.integers(0, 9, rows)})


def slow_distance(one, other, known):
    """Column by column, from the definition: gap of mid-ranks, 0 or 1 for categories and missing values."""

    def rank(value, column):
        values = known[column].dropna().to_numpy()
        return ((values < value).sum() + (values <= value).sum()) / 2 / len(values)

    total = 0.0
    for column in known.columns:
        a, b = one[column], other[column]
        if pd.isna(a) or pd.isna(b):
            total += 0.0 if pd.isna(a) and pd.isna(b) else 1.0
        elif column == "city":
            total += float(a != b)
        else:
            total += abs(rank(a, column) - rank(b, column))
    return total


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_distances_are_those_of_a_double_loop(seed):
    train, held, made = table(12, seed), table(9, seed + 1), table(7, seed + 2)
    real, _, ours = encode_rows([train, held], [made])
    known = pd.concat([train, held])
    (_, block), *_ = distance_blocks(real, ours)
    for i in range(len(train)):
        for j in range(len(made)):
            expected = slow_distance(train.iloc[i], made.iloc[j], known)
            assert block[i, j] / COLUMN == pytest.approx(expected, abs=3 * 2 / COLUMN)


def test_the_nearest_row_is_found_across_blocks_and_the_first_of_equals_counts(monkeypatch):
    monkeypatch.setattr("keshi.auditing.mixed_distance._BLOCK", 20)
    real, made = encode_rows([table(50, 0)], [pd.concat([table(9, 1), table(9, 1)])])
    index, distance = nearest(real, made)
    blocks = np.vstack([block for _, block in distance_blocks(real, made)])
    np.testing.assert_array_equal(index, blocks.argmin(axis=1))
    np.testing.assert_allclose(distance, blocks.min(axis=1) / COLUMN)
    assert index.max() < 9


def test_a_row_is_at_distance_zero_from_its_copy_only_and_units_do_not_matter():
    real = table(40, 3)
    scaled = real.assign(pay=real["pay"] * 1e6)
    one, two = (nearest(*encode_rows([t], [t.iloc[::-1]]))[1] for t in (real, scaled))
    assert not one.any()
    np.testing.assert_array_equal(one, two)
    other = table(40, 4)
    a = nearest(*encode_rows([real], [other]))[1]
    b = nearest(*encode_rows([scaled], [other.assign(pay=other["pay"] * 1e6)]))[1]
    np.testing.assert_allclose(a, b)


def test_infinite_numbers_and_columns_without_any_value_are_no_trouble():
    real = pd.DataFrame({"x": [np.inf, -np.inf, 1.0], "empty": [np.nan] * 3})
    rows, made = encode_rows([real], [real])
    np.testing.assert_array_equal(nearest(rows, made)[0], [0, 1, 2])
