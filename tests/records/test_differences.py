"""Columns that a rule orders are encoded as what the later one adds."""

import numpy as np
import pandas as pd
import pytest

from keshi.errors import DomainError
from keshi.records.column_kinds import Numerical, Timestamp
from keshi.records.constraints import Constraint
from keshi.records.domain import Domain
from keshi.records.number_scales import shares
from keshi.records.tables import TableEncoder

DAY = Timestamp("2015-01-01", "2024-12-31", resolution="day")
OPEN = Timestamp("2015-01-01", "9999-12-31", missing=True, resolution="day")


def dates(*texts: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts), format="ISO8601").astype("datetime64[us]"))


def there_and_back(domain: Domain, table: pd.DataFrame) -> pd.DataFrame:
    encoder = TableEncoder(domain)
    batch = encoder.encode(table)
    assert np.abs(batch.vectors).max() <= 1
    assert (batch.vectors * 2**20 % 1 == 0).all()
    return encoder.decode(batch.vectors, batch.classes)


def test_stays_come_back_to_the_day_and_the_end_of_time_as_itself():
    domain = Domain({"left": OPEN, "came": DAY}, constraints=(Constraint("came <= left"),))
    table = pd.DataFrame(
        {
            "left": dates("2020-02-01", "2015-01-04", "9999-12-31", None, "2024-12-31"),
            "came": dates("2020-02-01", "2015-01-01", "2020-05-05", "2016-01-01", "2024-12-30"),
        }
    )
    pd.testing.assert_frame_equal(there_and_back(domain, table), table)
    assert domain.encoded_columns["left"].scale == "log"


def test_a_record_that_breaks_the_rule_is_encoded_as_if_both_were_equal():
    domain = Domain({"came": DAY, "left": DAY}, constraints=(Constraint("left >= came"),))
    back = there_and_back(domain, pd.DataFrame({"came": dates("2020-02-10"), "left": dates("2020-02-01")}))
    assert (back["left"] == back["came"]).all()
    strict = Domain({"came": DAY, "left": DAY}, constraints=(Constraint("came < left"),))
    back = there_and_back(strict, pd.DataFrame({"came": dates("2020-02-10"), "left": dates("2020-02-01")}))
    assert (back["left"] - back["came"] == pd.Timedelta(days=1)).all()


def test_of_rules_in_a_row_each_column_rests_on_the_one_before():
    three = {"c": DAY, "b": DAY, "a": DAY}
    domain = Domain(
        three, constraints=(Constraint("b <= c"), Constraint("a <= b <= c"), Constraint("c >= a"))
    )
    assert {name: one.base for name, one in domain.differences.items()} == {"b": "a", "c": "b"}
    table = pd.DataFrame({"c": dates("2020-03-01"), "b": dates("2020-02-02"), "a": dates("2020-02-01")})
    pd.testing.assert_frame_equal(there_and_back(domain, table), table)
    ring = Domain(three, constraints=(Constraint("a <= b"), Constraint("b <= c"), Constraint("c <= a")))
    assert list(ring.differences) == ["b", "c"]


def test_numbers_are_encoded_as_differences_where_the_rule_says_so():
    price = Numerical(0, 100, decimals=2)
    columns = {"least": price, "most": price}
    table = pd.DataFrame({"least": [0.1, 99.99, 33.33], "most": [0.3, 100.0, 33.33]})
    plain = Domain(columns, constraints=(Constraint("least <= most"),))
    assert not plain.differences
    domain = Domain(columns, constraints=(Constraint("least <= most", difference=True),))
    assert list(domain.differences) == ["most"]
    pd.testing.assert_frame_equal(there_and_back(domain, table), table)
    assert (there_and_back(plain, table) == table).all(axis=None)
    strict = Domain(columns, constraints=(Constraint("least < most", difference=True),))
    assert strict.encoded_columns["most"].lower == 0.01


def test_without_differences_nothing_is_encoded_in_another_way():
    columns = {"came": DAY, "left": DAY}
    table = pd.DataFrame({"came": dates("2020-02-01"), "left": dates("2020-02-09")})
    told = TableEncoder(Domain(columns, constraints=(Constraint("came <= left", difference=False),)))
    ruleless = TableEncoder(Domain(columns))
    np.testing.assert_array_equal(told.encode(table).vectors, ruleless.encode(table).vectors)


def test_what_would_lie_beyond_the_upper_bound_is_reflected():
    domain = Domain({"came": DAY, "left": DAY}, constraints=(Constraint("came <= left"),))
    starts = np.linspace(-1, 1, 999)  # the last one has no room left
    far = np.column_stack([starts, np.full(999, 0.999)])
    back = TableEncoder(domain).decode(far, np.zeros(999, dtype=np.int64))
    assert (back["came"] <= back["left"]).all()
    assert (back["left"] < pd.Timestamp("2024-12-31")).mean() > 0.98
    far[:, 1] = 1.0
    back = TableEncoder(domain).decode(far, np.zeros(999, dtype=np.int64))
    assert (back["left"] == pd.Timestamp("2024-12-31")).all()


@pytest.mark.parametrize("rule", ["came <= left", "came < left"])
@pytest.mark.parametrize("days", [1, 2, 10])
def test_a_difference_of_several_rooms_does_not_end_at_the_upper_bound(rule, days):
    domain = Domain({"came": DAY, "left": DAY}, constraints=(Constraint(rule),))
    one, upper = domain.differences["left"], DAY.bounds_seconds[1]
    share = shares(one.column, np.arange(days + 1.0, 3_000.0))
    base = np.full(len(share), upper - days * 86_400)
    left = one.added(DAY, base, share)
    alone = rule == "came < left" and days == 1  # then the bound is the only moment there is
    assert (left >= base + one.column.lower * 86_400).all()
    assert (left == upper).all() if alone else (left < upper).all()


@pytest.mark.parametrize("decimals", [None, 2])
def test_numbers_within_less_than_one_are_reflected_above_their_base(decimals):
    share = Numerical(0, 1, decimals=decimals)
    domain = Domain({"a": share, "b": share}, constraints=(Constraint("a <= b", difference=True),))
    starts = np.linspace(-1, 1, 999)
    far = np.column_stack([starts, np.full(999, 0.9)])
    back = TableEncoder(domain).decode(far, np.zeros(999, dtype=np.int64))
    assert (back["b"] >= back["a"] - 1e-12).all()


def test_whole_numbers_far_from_zero_have_differences():
    far = Numerical(10**12, 10**12 + 10**5, integer=True)
    columns = {"a": Numerical(0, 10, integer=True), "b": far}
    domain = Domain(columns, constraints=(Constraint("a <= b", difference=True),))
    table = pd.DataFrame({"a": [0, 10], "b": [10**12, 10**12 + 77]})
    pd.testing.assert_frame_equal(there_and_back(domain, table), table)


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ("a == b", {"a": DAY, "b": DAY}),
        ("a <= b", {"a": OPEN, "b": DAY}),
        ("a <= b", {"a": DAY, "b": Timestamp("2015-01-01", "2024-12-31")}),
        ("a <= b", {"a": Numerical(0, 9, integer=True), "b": Numerical(0, 9)}),
        ("a <= b", {"a": Numerical(5, 9), "b": Numerical(0, 5)}),
    ],
)
def test_what_cannot_be_a_difference_is_refused(rule, columns):
    with pytest.raises(DomainError, match="constraint 1: difference = true is for a rule such as `a <= b`"):
        Domain(columns, constraints=(Constraint(rule, difference=True),))
    assert not Domain(columns, constraints=(Constraint(rule),)).differences


def test_a_condition_before_the_rule_leaves_the_columns_by_themselves():
    domain = Domain({"a": DAY, "b": DAY}, constraints=(Constraint("a <= b", given="a >= '2020-01-01'"),))
    assert not domain.differences


def test_it_is_written_down_and_a_domain_of_before_had_none():
    domain = Domain({"came": DAY, "left": DAY}, constraints=(Constraint("came <= left"),))
    text = domain.dumps()
    assert "difference = true" in text
    assert Domain.loads(text) == domain
    assert Domain.restored(text).differences == domain.differences
    before = text.replace("difference = true\n", "")
    assert Domain.loads(before) == domain
    assert not Domain.restored(before).differences


@pytest.mark.parametrize("told", [None, False])
def test_a_domain_with_any_rules_is_equal_when_it_is_restored(told):
    whole = Numerical(0, 9, integer=True)
    domain = Domain(
        {"came": DAY, "left": DAY, "n": whole, "m": whole},
        constraints=(
            Constraint("came <= left", difference=told),
            Constraint("n == m"),
            Constraint("n <= m"),
            Constraint("n > 2", given="m > 3"),
            Constraint("came <= left", given="n > 5"),
        ),
    )
    assert Domain.restored(domain.dumps()) == domain


def test_a_difference_that_is_neither_true_nor_false():
    with pytest.raises(DomainError, match="difference must be true or false, got 'yes'"):
        Domain({"came": DAY, "left": DAY}, constraints=(Constraint("came <= left", difference="yes"),))
