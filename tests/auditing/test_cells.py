import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.auditing.cells import MISSING, cut_into_cells, is_numerical, shared_columns
from keshi.errors import RecordsError


def test_a_missing_value_is_a_cell_of_its_own_for_numbers_and_for_categories():
    table = pd.DataFrame({"x": [1.0, None, 3.0], "c": ["a", None, "b"]})
    for column in cut_into_cells(table, table):
        assert column.labels[-1] == MISSING
        assert (column.reference == column.cells - 1).tolist() == [False, True, False]


def test_quantile_borders_that_coincide_are_merged_and_the_cells_hold_equal_shares_otherwise():
    mostly_zero = pd.DataFrame({"x": [0.0] * 90 + list(range(1, 11))})
    (column,) = cut_into_cells(mostly_zero, mostly_zero, bins=20, quantiles=True)
    assert len(np.unique(column.edges)) == len(column.edges) < 21
    spread = pd.DataFrame({"x": np.arange(2000.0)})
    (column,) = cut_into_cells(spread, spread, bins=20, quantiles=True)
    assert np.bincount(column.reference).tolist() == [100] * 20


@given(st.lists(st.floats(-1e6, 1e6) | st.none() | st.just(np.inf), min_size=1, max_size=40), st.booleans())
def test_every_row_gets_the_cell_whose_borders_enclose_it(values, quantiles):
    table = pd.DataFrame({"x": np.array(values, dtype=float)})
    (column,) = cut_into_cells(table, table, bins=7, quantiles=quantiles)
    for value, cell in zip(table["x"], column.reference, strict=True):
        assert 0 <= cell < column.cells
        if np.isnan(value):
            assert cell == column.cells - 1
        elif np.isfinite(value):
            low, high = column.edges[cell], column.edges[cell + 1]
            assert low <= value <= high


def test_values_of_another_system_outside_the_range_fall_into_the_end_bins():
    real, made = pd.DataFrame({"x": [0.0, 10.0]}), pd.DataFrame({"x": [-5.0, 99.0, np.inf]})
    (column,) = cut_into_cells(real, made, bins=5)
    assert column.synthetic.tolist() == [0, 4, 4]


def test_codes_match_whether_a_system_wrote_them_as_integers_floats_or_text():
    real = pd.DataFrame({"c": pd.Categorical([0, 1, 1])})
    for made in ([0, 1, 1], [0.0, 1.0, 1.0], ["0", "1", "1"]):
        (column,) = cut_into_cells(real, pd.DataFrame({"c": made}))
        assert column.reference.tolist() == column.synthetic.tolist()


def test_dates_are_numbers_whatever_the_other_table_calls_them():
    days = pd.Series(pd.to_datetime(["2020-01-01", "2020-06-01", None]))
    assert is_numerical(days)
    zoned = days.dt.tz_localize("UTC")
    text = pd.DataFrame({"d": ["2020-01-01", "2020-06-01", "no date"]})
    for reference in (days, zoned):
        (column,) = cut_into_cells(pd.DataFrame({"d": reference}), text)
        assert column.reference.tolist() == column.synthetic.tolist()


@pytest.mark.parametrize("values", [["a", "b"], [True, False], pd.Categorical([1, 2])])
def test_text_booleans_and_categories_are_not_numbers(values):
    assert not is_numerical(pd.Series(values))


def test_all_problems_of_two_tables_are_reported_together():
    real, made = pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"b": [], "z": []})
    with pytest.raises(RecordsError, match=r"0 rows.*lacks.*'a'.*'z'"):
        shared_columns(real, made)
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(RecordsError, match="twice"):
        shared_columns(twice, twice)
