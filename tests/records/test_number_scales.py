"""The logarithmic scale keeps the order and the whole numbers, and treats every value by itself."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.column_kinds import Numerical
from keshi.records.domain import Domain
from keshi.records.number_scales import is_logarithmic, numbers_at, shares, spacing
from keshi.records.tables import TableEncoder

BOUNDS = st.tuples(st.integers(-(10**12), 10**12), st.integers(1, 10**12)).map(lambda b: (b[0], b[0] + b[1]))


@settings(max_examples=300)
@given(BOUNDS, st.booleans(), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_places_keep_the_order_and_lead_back(bounds, integer, at):
    column = Numerical(*bounds, integer=integer, scale="log")
    numbers = np.unique(bounds[0] + np.array(at) * (bounds[1] - bounds[0])).clip(*bounds)
    place = shares(column, numbers)
    assert shares(column, np.array(bounds, dtype=float)).tolist() == [0.0, 1.0]
    assert (np.diff(place) >= 0).all()
    assert ((place >= 0) & (place <= 1)).all()
    back = numbers_at(column, place)
    rounding = 1e-13 * np.abs(bounds).max()
    assert (np.abs(back - numbers) <= spacing(column, numbers) + rounding).all()
    each = [float(shares(column, np.array([number]))[0]) for number in numbers]
    assert each == place.tolist()


def test_a_doubling_takes_the_same_room_everywhere():
    column = Numerical(0, 2**30 - 1, integer=True)
    powers = 2.0 ** np.arange(31) - 1
    assert np.allclose(np.diff(shares(column, powers)), 1 / 30, atol=1e-15)
    exact = np.log2(1 + np.linspace(0, 1000, 99)) / 30
    assert np.abs(shares(column, np.linspace(0, 1000, 99)) - exact).max() < 0.0861 / 30  # a chord's distance


def test_only_a_wide_range_is_logarithmic_by_itself():
    assert is_logarithmic(Numerical(0, 10**9, integer=True))
    assert is_logarithmic(Numerical(0, 1e9))
    assert not is_logarithmic(Numerical(0, 10_000, integer=True))
    assert not is_logarithmic(Numerical(0, 10**9, integer=True, scale="linear"))
    assert is_logarithmic(Numerical(0, 1, scale="log"))
    assert 'scale = "log"' in Domain({"bytes": Numerical(0, 1e9)}).dumps()  # whatever a later version chooses


def test_bytes_in_a_wide_column_come_back_whole():
    values = np.concatenate([np.arange(50_000), [10**6, 10**8, 1_379_963_888]])
    domain = Domain({"bytes": Numerical(0, 1_379_963_888, integer=True)})
    encoder = TableEncoder(domain)
    batch = encoder.encode(pd.DataFrame({"bytes": values}))
    back = encoder.decode(batch.vectors, batch.classes)["bytes"].to_numpy()
    assert (back[:50_000] == values[:50_000]).all()
    assert (np.abs(back / np.maximum(values, 1) - 1)[50_000:] < 2e-5).all()


def test_amounts_on_a_logarithmic_scale_come_back_with_few_digits():
    domain = Domain({"amount": Numerical(-1e6, 1e6, scale="log")})
    encoder = TableEncoder(domain)
    amounts = np.array([-1e6, -1250.5, -3.25, 0.0, 0.5, 19.99, 1234.5, 1e6])
    batch = encoder.encode(pd.DataFrame({"amount": amounts}))
    back = encoder.decode(batch.vectors, batch.classes)["amount"].to_numpy()
    assert (np.abs(back - amounts) <= np.array([spacing(domain.columns["amount"], a) for a in amounts])).all()
    assert all(len(repr(float(number))) < 12 for number in back)


def test_bounds_that_a_logarithmic_scale_cannot_tell_apart_are_refused():
    with pytest.raises(DomainError, match="leave scale out"):
        Domain({"x": Numerical(1e15, 1e15 + 2, scale="log")})


@pytest.mark.parametrize(
    "column",
    [
        Numerical(-777.0, 50_000.0),
        Numerical(-12_345.67, 76_543.21),
        Numerical(0, 10**15, integer=True),
        Numerical(-0.05, 0.95),
    ],
)
def test_bounds_come_back_exactly_and_zero_has_no_sign(column):
    numbers = [column.lower, column.upper] + [0.0] * (column.lower < 0)
    table = TableEncoder(Domain({"x": column, "z": Numerical(0, 1)}))
    batch = table.encode(pd.DataFrame({"x": numbers, "z": 0.5}))
    back = table.decode(batch.vectors, batch.classes)["x"]
    assert back[:2].tolist() == [column.lower, column.upper]
    assert not np.signbit(back[2:].astype(float)).any()


def test_a_scale_that_is_none_is_refused_and_one_survives_the_file():
    with pytest.raises(DomainError, match='scale must be "linear" or "log"'):
        Domain({"a": Numerical(0, 1, scale="cubic")})
    domain = Domain({"a": Numerical(0, 1, scale="log")})
    assert Domain.loads(domain.dumps()).columns["a"].scale == "log"
    assert math.isclose(numbers_at(domain.columns["a"], np.array(0.5)), 2**-10, rel_tol=1e-3)
