import json
import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import contingency

from keshi.auditing import fidelity as module
from keshi.auditing.cells import cut_into_cells
from keshi.auditing.fidelity import cramers_v, fidelity, joint_cells, scaled_wasserstein
from keshi.auditing.yardsticks import independent_columns
from keshi.reports.report import plain


def people(rows, seed):
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows).round()
    job = np.where(age + rng.normal(0, 6, rows) > 42, "boss", "clerk").astype(object)
    job[rng.random(rows) < 0.05] = None
    pay = np.where(rng.random(rows) < 0.1, np.nan, age * 100 + rng.normal(0, 300, rows))
    return pd.DataFrame({"age": age, "job": job, "pay": pay, "city": rng.choice(list("abc"), rows)})


def slow_distance(real, made):
    """Half the L1 distance of two lists of cells, counted by hand."""
    p, q = Counter(real), Counter(made)
    return sum(abs(p[k] / len(real) - q[k] / len(made)) for k in p.keys() | q.keys()) / 2


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 60))
def test_all_marginal_distances_equal_those_counted_one_by_one(seed, rows, made_rows):
    real, made = people(rows, seed), people(made_rows, seed + 1)
    result = fidelity(real, made, bins=5, queries=1)
    for distances, quantiles in ((result.equal_width, False), (result.quantile, True)):
        cells = cut_into_cells(real, made, bins=5, quantiles=quantiles)
        for i, column in enumerate(cells):
            assert distances.pairs[i, i] == pytest.approx(slow_distance(column.reference, column.synthetic))
        for i, j in combinations(range(len(cells)), 2):
            a, b = cells[i], cells[j]
            slow = slow_distance(
                list(zip(a.reference, b.reference, strict=True)),
                list(zip(a.synthetic, b.synthetic, strict=True)),
            )
            assert distances.pairs[i, j] == distances.pairs[j, i] == pytest.approx(slow)


def test_a_table_has_no_distance_from_itself_and_full_distance_from_a_disjoint_one():
    real = people(200, 0)
    same = fidelity(real, real)
    assert same.equal_width.mean_two_way == same.quantile.mean_one_way == same.range_query_error == 0
    assert same.correlation_difference == 0
    assert set(same.wasserstein.values()) == {0.0}
    other = pd.DataFrame({"a": ["x"] * 5}), pd.DataFrame({"a": ["y"] * 7})
    assert fidelity(*other).equal_width.mean_one_way == 1


def test_independent_columns_keep_margins_and_lose_pairs():
    real = people(3000, 1)
    lost, kept = fidelity(real, independent_columns(real, seed=3)), fidelity(real, people(3000, 2))
    assert lost.equal_width.mean_one_way == 0
    assert lost.equal_width.mean_two_way > 2 * kept.equal_width.mean_two_way
    assert lost.range_query_error > 2 * kept.range_query_error
    assert lost.correlation_difference > 5 * kept.correlation_difference


def test_wide_pairs_are_counted_alike_by_sorting(monkeypatch):
    real, made = people(300, 4), people(200, 5)
    dense = fidelity(real, made, queries=5)
    monkeypatch.setattr(module, "DENSE_CELLS", 3)
    sparse = fidelity(real, made, queries=5)
    np.testing.assert_allclose(dense.equal_width.pairs, sparse.equal_width.pairs)
    np.testing.assert_allclose(dense.correlation_synthetic, sparse.correlation_synthetic)


def test_cramers_v_equals_the_corrected_chi_square_of_scipy():
    table = people(500, 6)[["job", "city"]].dropna()
    table["city"] = np.where(table["job"] == "boss", "a", table["city"])
    a, b = cut_into_cells(table, table)
    real, _, _ = joint_cells(a, b)
    counts = pd.crosstab(table["job"], table["city"]).to_numpy()
    n, (r, c) = counts.sum(), counts.shape
    phi2 = contingency.association(counts, method="cramer") ** 2 * (min(r, c) - 1)
    corrected = max(0, phi2 - (r - 1) * (c - 1) / (n - 1))
    smallest = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    assert cramers_v(a.reference, b.reference, real) == pytest.approx(np.sqrt(corrected / smallest))


def test_the_wasserstein_distance_is_a_share_of_the_range():
    real = pd.DataFrame({"x": np.arange(0.0, 101.0), "constant": 3.0})
    made = real.assign(x=real["x"] + 10, constant=4.0)
    assert scaled_wasserstein(real, made)["x"] == pytest.approx(0.1)
    assert scaled_wasserstein(real, made, bounds={"x": (0, 200)})["x"] == pytest.approx(0.05)
    assert scaled_wasserstein(real, made)["constant"] == np.inf
    assert scaled_wasserstein(real, real)["constant"] == 0


def test_range_queries_repeat_with_the_seed_and_see_a_shift():
    real = people(1000, 7)
    shifted = real.assign(age=real["age"] + 15)
    first, again, other = (fidelity(real, shifted, seed=s).range_query_error for s in (0, 0, 1))
    assert first == again != other
    assert first > 0.01


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"one": [1]}),
        pd.DataFrame({"empty": [None, None], "x": [np.nan, np.nan]}),
        pd.DataFrame({"class": ["=1+1", "\x00"], "emoji 🙂": ["א", "🙂"], "wide": [10**400, 1]}),
        pd.DataFrame({"big": [1e308, -1e308], "yes": [True, None]}),
    ],
)
def test_odd_tables_give_defined_figures(table):
    result = fidelity(table, table)
    assert result.equal_width.mean_one_way == 0
    assert json.loads(json.dumps(plain(result.to_json()), allow_nan=False))["reference_rows"] == len(table)


def test_permuted_columns_keep_each_margin_exactly_and_resampling_gives_the_rows_asked_for():
    real = people(100, 8)
    made = independent_columns(real, seed=1)
    for name in real:
        assert Counter(made[name].astype(str)) == Counter(real[name].astype(str))
        assert made[name].dtype == real[name].dtype
    assert independent_columns(real, rows=250).shape == (250, 4)
    pd.testing.assert_frame_equal(made, independent_columns(real, seed=1))
    assert not made.equals(independent_columns(real, seed=2))


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="KESHI_DATA names no folder with the real data")
def test_adults_official_test_part_is_as_far_from_its_training_part_as_known():
    from keshi.datasets.adult import load_adult

    adult = load_adult(Path(os.environ["KESHI_DATA"], "adult"))
    result = fidelity(adult.train, adult.test)
    assert result.equal_width.mean_two_way == pytest.approx(0.0213, abs=0.0005)
    assert result.quantile.mean_two_way == pytest.approx(0.0220, abs=0.0005)
