"""Cells of columns: every record is in exactly one, cuts lie where they should, and the grid is public."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.records.column_kinds import Categorical, Numerical, Timestamp, in_numbers
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis.partitions import (
    GRID,
    Partition,
    class_partition,
    column_partitions,
    cuts_before,
    declared_cuts,
    equal_width_edges,
    likely_values,
    whole_between,
)


def domain():
    return Domain(
        {
            "age": Numerical(17, 90, integer=True, missing=True),
            "rate": Numerical(-1.0, 3.0, bins=(0.0, 0.5)),
            "job": Categorical(("a", "b", "c"), missing=True),
            "y": Categorical(("no", "yes")),
        },
        label="y",
    )


def table():
    return pd.DataFrame(
        {
            "age": [17, 90, np.nan, 40],
            "rate": [-1.0, 3.0, 0.5, 0.49],
            "job": ["a", None, "c", "b"],
            "y": ["no", "yes", "yes", "no"],
        }
    )


def test_every_value_is_in_the_cell_that_a_loop_over_the_edges_finds():
    batch = TableEncoder(domain()).encode(table())
    for partition in column_partitions(domain(), most_cells=16).values():
        fine = partition.fine(batch)
        assert ((fine >= 0) & (fine < partition.fine_cells)).all()
        if partition.categories:
            continue
        for row, cell in enumerate(fine):
            if partition.missing and batch.vectors[row, partition.start + 1] == 1.0:
                assert cell == partition.fine_cells - 1
                continue
            value = batch.vectors[row, partition.start] * GRID
            inside = [
                i
                for i, (low, high) in enumerate(pairwise(partition.edges))
                if low <= value < high or (i == partition.intervals - 1 and value == high)
            ]
            assert inside == [cell]
    assert class_partition(domain()).fine(batch).tolist() == [0, 1, 1, 0]


@settings(max_examples=300)
@given(st.integers(2, 5_000), st.integers(1, 300), st.data())
def test_whole_numbers_are_never_cut_through_and_found_again(values, most, data):
    column = Numerical(0, values - 1, integer=True)
    edges = equal_width_edges(column, most)
    assert len(edges) - 1 <= most
    found = [value for low, high in pairwise(edges) for value in whole_between(low, high, column)]
    assert found == list(range(values))
    first = data.draw(st.integers(1, values - 1))
    (cut,) = cuts_before(np.array([first]), column)
    encoded = np.rint((np.array([first - 1, first]) / (values - 1) * 2 - 1) * GRID)
    assert encoded[0] < cut <= encoded[1]


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (Numerical(0.0, 50_000.0), [0.0, 50_000.0]),
        (Numerical(-5_000.0, 5_000.0, missing=True), [-5_000.0, 0.0, 5_000.0]),
        (Numerical(0, 10_000_000, integer=True), [0.0, 10_000_000.0]),
        (Numerical(-7, 10**15, integer=True), [-7.0, 0.0, 1e15]),
        (Numerical(10, 99_999, integer=True, scale="linear"), [10.0, 99_999.0]),
        (Numerical(0.5, 9_999.5, integer=True), [1.0, 9_999.0]),
        (Numerical(-3.2, 5e6 + 0.5, integer=True), [-3.0, 0.0, 5e6]),
        (Numerical(0, 100, integer=True), [0.0, 100.0]),
        (Numerical(0, 15, integer=True), []),  # each value is seen by itself anyway
    ],
)
def test_zero_and_the_bounds_have_intervals_of_their_own(column, numbers):
    likely = likely_values(column)
    partition = column_partitions(Domain({"x": column, "y": Numerical(0, 1)}), most_cells=4_096)["x"]
    assert set(likely) <= set(pairwise(partition.edges))
    table = pd.DataFrame({"x": numbers, "y": 0.5})
    batch = TableEncoder(Domain({"x": column, "y": Numerical(0, 1)})).encode(table)
    cells = partition.fine(batch)
    assert [partition.edges[cell : cell + 2] for cell in cells] == list(likely)
    assert np.allclose(batch.vectors[:, 0], list(likely.values()), atol=1 / GRID)


def test_declared_bins_are_cuts():
    at_rate = column_partitions(domain(), most_cells=8)["rate"]
    zero, half = (round(((value + 1) / 4 * 2 - 1) * GRID) for value in (0.0, 0.5))
    assert {zero, half} <= set(at_rate.edges)
    month = Timestamp("2020-01-01T00:00:00", "2020-12-31T00:00:00", bins=("2020-07-01T00:00:00",))
    assert len(declared_cuts(month)) == 1
    ages = Numerical(0, 10, integer=True, bins=(4,))
    (cut,) = declared_cuts(ages)
    assert list(whole_between(-GRID, cut, ages)) == [0, 1, 2, 3]


def test_a_partition_that_is_none_is_refused():
    with pytest.raises(ValueError, match="joins each"):
        Partition(0, 3, (), False, (0, 2, 2))
    with pytest.raises(ValueError, match="ascend"):
        Partition(0, 0, (-GRID, 5, 5, GRID), False, (0, 1, 2))
    partition = column_partitions(domain(), most_cells=8)["age"]
    assert Partition(*partition.settings()) == partition
    assert partition.fits(domain())
    assert not partition.fits(Domain({"age": Numerical(17, 90, integer=True)}))


@settings(max_examples=150)
@given(
    st.integers(0, 3),
    st.integers(-3_000, 3_000),
    st.integers(1, 5_000),
    st.sampled_from(["linear", "log"]),
    st.integers(4, 64),
)
def test_declared_decimals_are_never_cut_through_and_found_again(decimals, low, width, scale, most):
    unit = 10**decimals
    column = Numerical(low / unit, (low + width) / unit, decimals=decimals, scale=scale)
    made = Domain({"x": column})
    written = np.arange(low, low + width + 1) / unit
    partition = column_partitions(made, most_cells=most)["x"]
    cell = partition.fine(TableEncoder(made).encode(pd.DataFrame({"x": written})))
    assert (np.diff(cell) >= 0).all()
    found = [whole_between(*edges, column) for edges in pairwise(partition.edges)]
    assert [number for inside in found for number in inside] == list(range(low, low + width + 1))
    for value, place in zip(range(low, low + width + 1), cell, strict=True):
        assert value in found[place]


def test_bins_of_declared_decimals_include_their_lower_edge():
    column = Numerical(
        0, 1, decimals=2, bins=(0.07, 0.29, 0.58)
    )  # 0.07 * 100 is above 7, 0.29 * 100 below 29
    made = Domain({"x": column})
    cuts = np.array(declared_cuts(column)) / GRID
    places = (
        TableEncoder(made).encode(pd.DataFrame({"x": [0.06, 0.07, 0.28, 0.29, 0.57, 0.58]})).vectors[:, 0]
    )
    assert np.searchsorted(cuts, places, side="right").tolist() == [0, 1, 1, 2, 2, 3]


def test_a_rate_of_two_decimals_is_looked_at_value_by_value():
    rate = {"rate": Numerical(0, 1, decimals=2)}
    assert column_partitions(Domain(rate), most_cells=4_096)["rate"].cells == 101


def test_dates_are_looked_at_day_by_day():
    year = Timestamp("2020-01-01", "2020-12-31", resolution="day", bins=("2020-07-01",))
    made = Domain({"day": year})
    partition = column_partitions(made, most_cells=4_096)["day"]
    days = pd.date_range("2020-01-01", "2020-12-31")
    cells = partition.fine(TableEncoder(made).encode(pd.DataFrame({"day": days + pd.Timedelta(hours=23)})))
    assert cells.tolist() == list(range(366))
    assert partition.cells == 366
    before, after = partition.edges[181:183]  # a leap year's first half has 182 days
    assert after in declared_cuts(year)
    assert before not in declared_cuts(year)


@pytest.mark.parametrize("most", [7, 64])
def test_days_are_not_cut_through(most):
    years = Timestamp("1990-01-01", "2029-12-31", resolution="day")
    made = Domain({"day": years})
    partition = column_partitions(made, most_cells=most)["day"]
    days = pd.date_range("1990-01-01", "2029-12-31")
    cells = partition.fine(TableEncoder(made).encode(pd.DataFrame({"day": days})))
    held = [len(whole_between(*edges, in_numbers(years))) for edges in pairwise(partition.edges)]
    assert np.bincount(cells).tolist() == held


def test_without_a_resolution_a_partition_of_moments_is_as_before():
    bounds = ("1990-01-01", "2029-12-31")
    plain, seconds = (
        column_partitions(Domain({"at": Timestamp(*bounds, resolution=one)}), most_cells=64)["at"]
        for one in (None, "second")
    )
    assert plain.edges == tuple(np.rint(np.linspace(-GRID, GRID, 65)).astype(int).tolist())
    assert set(plain.edges) <= set(seconds.edges)
