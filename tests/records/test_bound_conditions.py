"""Conditions are judged against a slow reading, record by record, in three-valued logic."""

from __future__ import annotations

import itertools
import operator
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import ConditionError
from keshi.records.bound_conditions import bind, masks
from keshi.records.column_kinds import Categorical, Numerical, Ordinal, Timestamp
from keshi.records.possible_records import possible_records
from keshi.records.tests_on_columns import ColumnValues

COLUMNS = {
    "age": Numerical(0, 3, integer=True, missing=True),
    "city-of": Categorical(("Aa", "B'b"), missing=True, other=True),
    "grade": Ordinal(("low", "mid", "high")),
    "seen": Timestamp("2020-01-01T00:00:00", "2020-01-01T00:00:02"),
}
VALUES = {
    "age": [0, 1, 2, 3, None],
    "city-of": ["Aa", "B'b", "OTHER", None],
    "grade": ["low", "mid", "high"],
    "seen": [datetime(2020, 1, 1, 0, 0, second) for second in range(3)],
}
EVERY = pd.DataFrame(list(itertools.product(*VALUES.values())), columns=list(VALUES)).astype({"age": "Int64"})
ORDERS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def written(value) -> str:
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def ranked(column: str, value):
    return VALUES["grade"].index(value) if column == "grade" else value


@st.composite
def simple_tests(draw):
    """(text, slow reading of one record: True, False or None)."""
    column = draw(st.sampled_from(list(VALUES)))
    known = [value for value in VALUES[column] if value is not None]
    name = f"`{column}`"
    if None in VALUES[column] and draw(st.integers(0, 4)) == 0:
        return f"{name} is missing", lambda row: row[column] is None
    if draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        text = f"{name} in [{', '.join(map(written, chosen))}]"
        return text, lambda row: None if row[column] is None else row[column] in chosen
    order = draw(st.sampled_from(["==", "!="] if column == "city-of" else list(ORDERS)))
    value = draw(st.sampled_from(known))

    def reading(row):
        if row[column] is None:
            return None
        return ORDERS[order](ranked(column, row[column]), ranked(column, value))

    return f"{name} {order} {written(value)}", reading


def either(one, other):
    def reading(row):
        answers = (one[1](row), other[1](row))
        return True if True in answers else None if None in answers else False

    return f"({one[0]} or {other[0]})", reading


def both(one, other):
    def reading(row):
        answers = (one[1](row), other[1](row))
        return False if False in answers else None if None in answers else True

    return f"({one[0]} and {other[0]})", reading


def negated(one):
    return f"not {one[0]}", lambda row: None if one[1](row) is None else not one[1](row)


conditions = st.recursive(
    simple_tests(),
    lambda inner: st.one_of(
        st.builds(either, inner, inner), st.builds(both, inner, inner), st.builds(negated, inner)
    ),
    max_leaves=8,
)


def rows():
    return [{name: None if pd.isna(v) else v for name, v in row.items()} for row in EVERY.to_dict("records")]


def bound_or_impossible(text: str):
    """None where a single test is refused because no record can meet it."""
    try:
        return bind(text, COLUMNS)
    except ConditionError as error:
        assert "no category" in str(error) or "no record" in str(error)  # noqa: PT017
        return None


@settings(max_examples=150)
@given(conditions)
def test_masks_agree_with_a_reading_record_by_record(condition) -> None:
    text, reading = condition
    bound = bound_or_impossible(text)
    if bound is None:
        return
    true, false = masks(bound, ColumnValues(EVERY, COLUMNS))
    expected = [reading(row) for row in rows()]
    assert true.tolist() == [answer is True for answer in expected]
    assert false.tolist() == [answer is False for answer in expected]


@settings(max_examples=150)
@given(conditions, st.sampled_from(["true", "false", "not true", "not false"]))
def test_what_is_possible_is_what_some_record_of_all_there_are_can_do(condition, wanted) -> None:
    bound = bound_or_impossible(condition[0])
    if bound is None:
        return
    true, false = masks(bound, ColumnValues(EVERY, COLUMNS))
    meets = {"true": true, "false": false, "not true": ~true, "not false": ~false}[wanted]
    possible = possible_records([((bound, wanted),)], COLUMNS, "grade")
    assert possible.any == meets.any()
    if meets.any() and possible.label_cells is not None:
        grades = EVERY["grade"][meets].unique()
        assert [VALUES["grade"][cell] for cell in np.flatnonzero(possible.label_cells)] == [
            grade for grade in VALUES["grade"] if grade in grades
        ]


def test_columns_are_compared_with_columns_and_sums() -> None:
    columns = {"a": Numerical(0, 9), "b": Numerical(0, 9, missing=True), "t": Numerical(0, 20)}
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, np.nan], "t": [3.0, 3.05, 3.0]})

    def true(text, **options):
        return masks(bind(text, columns, **options), ColumnValues(frame, columns))[0].tolist()

    assert true("a <= b") == [True, False, False]
    assert true("t == a + b") == [True, False, False]
    assert true("t == a + b", tolerance=0.1) == [True, True, False]
    assert true("a - b + 1 >= 0.5") == [False, True, False]
    assert true("not a <= b") == [False, True, False]
    assert true("2 <= a + 1 < 3.5") == [True, True, False]


def test_moments_are_compared_as_moments() -> None:
    columns = {"seen": Timestamp("2020-01-01T00:00:00+00:00", "2021-01-01T00:00:00+00:00")}
    frame = pd.DataFrame({"seen": pd.to_datetime(["2020-06-01T10:00:00Z", "2020-06-01T12:00:00Z"])})
    bound = bind("seen < '2020-06-01T13:00:00+02:00'", columns)  # 11:00 in UTC
    assert masks(bound, ColumnValues(frame, columns))[0].tolist() == [True, False]


def test_categories_are_matched_as_everywhere_and_numeric_ones_have_an_order() -> None:
    columns = {"n": Categorical((1, 2, 3)), "m": Categorical((2, "x")), "flag": Categorical((False, True))}
    frame = pd.DataFrame({"n": [1, 2, 3], "m": [2, 2, "x"], "flag": [True, False, True]})

    def true(text):
        return masks(bind(text, columns), ColumnValues(frame, columns))[0].tolist()

    assert true("n == '2'") == true("n == 2.0") == [False, True, False]
    assert true("n > 1.5") == [False, True, True]
    assert true("flag == true") == true("flag == 'True'") == [True, False, True]
    assert true("n == m") == [False, True, False]
    assert true("n != m") == [True, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agee == 1", "did you mean 'age'?"),
        ("city == 'Aa'", "did you mean `city-of`"),
        ("`city-of` == 'aa'", "did you mean 'Aa'?"),
        ("city-of == 'Aa'", "write `city-of` in backticks"),
        ("`city-of` == 'Aa' and `city-of` == 'Zz'", "its values are 'Aa', \"B'b\", 'OTHER'"),
        ("`city-of` < 'Aa'", "have no order"),
        ("`city-of` == 'missing'", "write `is missing`"),
        ("age == 1.5", "whole numbers from 0 to 3"),
        ("age > 3", "from 0 to 3, so no record"),
        ("age in [1, 7]", "from 0 to 3, so no record"),
        ("age == 'two'", "holds numbers"),
        ("grade > 'high'", "no category of column 'grade' is > 'high'"),
        ("grade is missing", "is never missing"),
        ("seen < 'soon'", "holds moments"),
        ("seen < '2020-01-01T00:00:01Z'", "without an offset"),
        ("seen + 1 < age", "between numbers, or between two moments"),
        ("1 < 2", "compares values only"),
        ("grade == Low", "no column 'Low'"),
        ("age + age > 7", "by the bounds"),
        ("id == 1", "an identifier"),
    ],
)
def test_what_does_not_fit_the_domain_is_refused_with_advice(text: str, message: str) -> None:
    with pytest.raises(ConditionError) as error:
        bind(text, COLUMNS, identifiers={"id": None})
    assert message in str(error.value)
    assert "(position " in str(error.value)


def test_a_condition_with_too_many_alternatives_is_taken_to_be_possible() -> None:
    text = " and ".join(["(age == 1 or grade == 'low')"] * 14)
    assert possible_records([((bind(text, COLUMNS), "true"),)], COLUMNS, "grade").any


def test_conditions_know_the_declared_resolution() -> None:
    columns = {"day": Timestamp("2020-01-01", "2020-12-31", resolution="day")}
    for possible in ("day == '2020-02-29'", "'2020-02-28T12:00' < day < '2020-02-29T12:00'"):
        bound = bind(possible, columns)
        assert possible_records([((bound, "true"),)], columns, None).any, possible
    with pytest.raises(ConditionError, match="holds whole days from 2020-01-01"):
        bind("day == '2020-02-29T12:00'", columns)
    bound = bind("'2020-02-29T01:00' < day < '2020-02-29T23:00'", columns)
    assert not possible_records([((bound, "true"),)], columns, None).any


def test_conditions_know_the_declared_decimals() -> None:
    columns = {"rate": Numerical(0, 1, decimals=2)}
    for possible in ("rate == 0.29", "0.121 < rate < 0.139", "rate > 0.99", "rate < 0.01"):
        bound = bind(possible, columns)
        assert possible_records([((bound, "true"),)], columns, None).any, possible
    with pytest.raises(ConditionError, match="at most 2 decimals"):
        bind("rate == 0.125", columns)
    bound = bind("0.121 < rate < 0.129", columns)
    assert not possible_records([((bound, "true"),)], columns, None).any


def test_moments_a_second_apart_are_not_equal() -> None:
    """Sums of floats have a tolerance, a share of their size: of seconds since 1970 that would be more than one."""
    columns = dict.fromkeys(("came", "went"), Timestamp("2020-01-01", "2030-01-01"))
    frame = pd.DataFrame({"came": pd.to_datetime(["2025-01-01"] * 2), "went": pd.Timestamp("2025-01-01")})
    frame.loc[1, "went"] += pd.Timedelta(seconds=1)
    for text, expected in (("came == went", [True, False]), ("came != went", [False, True])):
        assert masks(bind(text, columns), ColumnValues(frame, columns))[0].tolist() == expected
