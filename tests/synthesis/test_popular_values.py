"""Values that many records share come back as they are: how leaves are divided, counted, and read as numbers."""

import numpy as np
import pandas as pd
import pytest

from keshi import Domain, Numerical
from keshi.synthesis.column_counts import ColumnCounts
from keshi.synthesis.marginal_plan import (
    MOST_COORDINATES,
    MOST_WEIGHED,
    Resolution,
    _fine_partition,
    _weighed_cells,
)
from keshi.synthesis.mixture_targets import finest_counts, shortest_number
from keshi.synthesis.partitions import GRID, Partition, column_partitions
from keshi.synthesis.synthesizer import PearlSynthesizer


def test_the_shortest_number_of_an_interval():
    assert shortest_number(0.0499999, 0.0500031) == 0.05
    assert shortest_number(-0.001, 0.002) == 0.0
    assert shortest_number(39.9, 40.2) == 40.0
    assert shortest_number(123.4, 123.6) == 123.5
    assert shortest_number(99_999.7, 100_000.0) == 100_000.0


def test_popular_codes_of_a_wide_column_come_back_to_the_last_digit():
    draw = np.random.default_rng(0)
    codes = draw.choice([10115, 20095, 50667, 80331, 99999], size=4_000, p=[0.3, 0.2, 0.2, 0.2, 0.1])
    capped = np.minimum(np.rint(np.exp(draw.normal(11, 1.5, 4_000))), 500_000).astype(int)
    domain = Domain(
        {"code": Numerical(1_000, 99_999, integer=True), "capped": Numerical(0, 500_000, integer=True)}
    )
    table = pd.DataFrame({"code": codes, "capped": capped})
    made = PearlSynthesizer(domain=domain, epsilon=10.0, seed=0).fit(table).sample(4_000)
    for code in np.unique(codes):
        assert abs((made["code"] == code).mean() - (codes == code).mean()) < 0.03
    assert abs((made["capped"] == 500_000).mean() - (capped == 500_000).mean()) < 0.03


def test_popular_prices_rates_and_logarithms_come_back_to_a_step_of_the_grid():
    draw, n = np.random.default_rng(0), 4_000
    table = pd.DataFrame(
        {
            "price": draw.choice([4.95, 19.99, 249.5, 7_349.0], size=n, p=[0.4, 0.3, 0.2, 0.1]),
            "rate": np.where(draw.random(n) < 0.5, 0.075, draw.random(n)),
            "logarithm": draw.choice(np.log([26.0, 51.0, 96.0]), size=n),
        }
    )
    domain = Domain(
        {"price": Numerical(0.0, 10_000.0), "rate": Numerical(0.0, 1.0), "logarithm": Numerical(0.0, 4.62)}
    )
    made = PearlSynthesizer(domain=domain, epsilon=10.0, seed=0).fit(table).sample(n)
    for value, share in table["price"].value_counts(normalize=True).items():
        assert (made["price"] == value).mean() == pytest.approx(share, abs=0.03)
    assert (made["rate"] == 0.075).mean() == pytest.approx(0.5, abs=0.03)
    step = 4.62 / GRID / 2
    for value, share in table["logarithm"].value_counts(normalize=True).items():
        assert (abs(made["logarithm"] - value) <= step).mean() == pytest.approx(share, abs=0.03)


def test_parts_of_a_leaf_share_what_it_holds_and_noise_in_them_takes_nothing_from_others():
    random = np.random.default_rng(0)
    leaves = Partition(0, 0, tuple(range(-GRID, GRID + 1, GRID // 2)), False, tuple(range(4)))
    counts = ColumnCounts(leaves, np.array([50.0, 900.0, 30.0, 20.0]), 5.0)
    edges = np.unique([*leaves.edges, *np.linspace(-GRID // 2, 0, 513, dtype=int)])
    fine = Partition(0, 0, tuple(edges), False, tuple(range(515)))
    truth = np.zeros(515)
    truth[[0, 100, 513, 514]] = 50.0, 900.0, 30.0, 20.0
    _, found, variance = finest_counts(fine, truth + random.normal(0, 8, 515), 8.0, counts, 1_000.0)
    assert found.sum() == pytest.approx(1_000.0)
    assert np.abs(found[[0, 513, 514]] - truth[[0, 513, 514]]).max() < 10
    assert found[100] > 850  # its 511 empty neighbours have noise of 8 each
    assert variance[100] == 64.0
    assert variance[0] < 25.0


def test_leaves_that_stand_out_are_divided_finely_only_where_there_is_room():
    column, known = (
        Numerical(0.0, 1.0),
        column_partitions(Domain({"x": Numerical(0.0, 1.0)}), most_cells=4_096)["x"],
    )
    held = np.zeros(known.cells)
    held[100:4_000:100] = 200.0
    counts = ColumnCounts(known, held, 5.0)
    sizes = [
        _fine_partition(counts, column, 100.0, Resolution(), room).cells for room in (100, 10_000, 10**6)
    ]
    assert sizes[0] < 39 * 65 + 200
    assert sizes[0] < sizes[1] < 10_000 + sizes[0]
    assert sizes[2] > 39 * 512


def test_popular_whole_numbers_come_back_where_a_step_of_the_grid_is_wider_than_one():
    values = np.array([1_000, 5_000_000, 99_000_000])
    table = pd.DataFrame({"x": np.random.default_rng(0).choice(values, size=3_000), "y": 1})
    table["y"] = np.random.default_rng(1).choice([1_000, 250_000, 1_000_000], size=3_000)
    domain = Domain(
        {
            "x": Numerical(0, 100_000_000, integer=True, scale="linear"),
            "y": Numerical(0, 1_000_000_000, integer=True),
        }
    )
    made = PearlSynthesizer(domain=domain, epsilon=10.0, seed=0).fit(table).sample(3_000)
    assert made["x"].isin(values).mean() > 0.95
    assert made["y"].isin([1_000, 250_000, 1_000_000]).mean() > 0.95


def test_many_popular_values_leave_room_and_noise_for_the_pairs():
    column = Numerical(0.0, 1.0)
    known = column_partitions(Domain({"x": column}), most_cells=4_096)["x"]
    held = np.zeros(known.cells)
    held[10:4_090:10] = np.linspace(100, 500, 408)
    counts = ColumnCounts(known, held, 5.0)
    fine = _fine_partition(counts, column, 50.0, Resolution(), MOST_COORDINATES // 20)
    assert fine.cells < MOST_COORDINATES // 40 + 2 * 4_096
    fullest = np.isin(
        np.array(known.edges[4_080 - 1 : 4_080 + 2]), fine.edges
    )  # leaf 4,080 is divided, leaf 10 is not
    assert fullest[1:].all()
    assert _weighed_cells(fine, known, 64) == MOST_WEIGHED
