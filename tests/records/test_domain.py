from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Numerical, Ordinal, Timestamp, category_key
from keshi.records.domain import Domain, table_name

NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (Categorical(()), "categories is empty"),
        (Numerical(0, 1, decimals=-1), "decimals must be a whole number from 0 to 15"),
        (Numerical(0, 1, decimals=True), "decimals must be a whole number from 0 to 15"),
        (Numerical(0, 1, decimals=2.0), "decimals must be a whole number from 0 to 15"),  # type: ignore[arg-type]
        (Numerical(0, 9, decimals=0, integer=True), "leave decimals out, or integer"),
        (Numerical(0, 0.125, decimals=2), "no more decimals than the 2 declared, got [0.125]"),
        (Numerical(0, 1, decimals=2, bins=(0.125,)), "no more decimals than the 2 declared, got [0.125]"),
        (Numerical(0, 1e9, decimals=8), "declare fewer, or narrow the bounds"),
        (Categorical("ab"), "categories must be a list"),  # type: ignore[arg-type]
        (Categorical(("a", "a")), "stand twice"),
        (Categorical((1, "1")), "stand twice"),
        (Categorical((1, 1.0)), "stand twice"),
        (Categorical(("OTHER", "a"), other=True), "stand twice"),
        (Categorical((NAN, 1.0)), "missing = true"),
        (Categorical((None, "a")), "missing = true"),  # type: ignore[arg-type]
        (Categorical((["a"], "b")), "must be texts"),  # type: ignore[arg-type]
        (Categorical(("\ud800", "a")), "valid Unicode"),
        (Categorical(("a", "b"), missing="yes"), "missing must be true or false"),  # type: ignore[arg-type]
        (Categorical(("a", "b"), dtype=3), "dtype must be the name"),  # type: ignore[arg-type]
        (Numerical(1, 1), "lower must be below upper"),
        (Numerical(2, 1), "lower must be below upper"),
        (Numerical(NAN, 1), "finite number"),
        (Numerical(0, math.inf), "finite number"),
        (Numerical(0, 10**400), "finite number"),
        (Numerical(True, 2), "finite number"),
        (Numerical("0", 2), "finite number"),  # type: ignore[arg-type]
        (Numerical(2**60, 2**60 + 1), "below upper"),  # the same 64-bit float
        (Numerical(-1e308, 1e308), "too far apart"),
        (Numerical(0.2, 0.8, integer=True), "no whole number"),
        (Numerical(0, 2**64, integer=True), "fit 64 bits"),
        (Timestamp("yesterday", "2020-01-01"), "moments such as"),
        (Timestamp(5, "2020-01-01"), "moments such as"),  # type: ignore[arg-type]
        (Timestamp("2020-01-01T00:00:00Z", "2021-01-01"), "both bounds"),
        (Timestamp("2021-01-01", "2020-01-01"), "below upper"),
        (
            Timestamp("2020-01-01", "2021-01-01", resolution="week"),
            "must be one of day, hour, minute, second",
        ),
        (Timestamp("2020-01-01", "2021-01-01", resolution=["day"]), "second, got ['day']"),  # type: ignore[arg-type]
        (Timestamp("2020-01-01T06:00", "2021-01-01", resolution="day"), "whole days, as its resolution says"),
        (Timestamp("2020-01-01T00+02:00", "2021-01-01T00+02:00", resolution="day"), "whole days in UTC"),
        (
            Timestamp("2020-01-01", "2021-01-01", bins=("2020-07-01T00:30",), resolution="hour"),
            "whole hours, as its resolution says, got ['2020-07-01T00:30']",
        ),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_and_the_message_names_the_column(column, says) -> None:
    with pytest.raises(DomainError) as refused:
        Domain({"it": column})
    assert says in str(refused.value)
    assert "'it'" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"columns": {}}, "no columns"),
        ({"columns": {3: Numerical(0, 1)}}, "column names must be texts"),
        ({"outside": "drop"}, '"clip" or "refuse"'),
        ({"label": "age"}, "must be categorical"),
        ({"label": "nobody"}, "not among the columns"),
        ({"label": 3}, "label must be a text"),
        ({"label": "one"}, "has one class"),
        ({"ignore": "id"}, "ignore must be a list of texts"),
        ({"ignore": ("age",)}, "both declared and ignored"),
        ({"missing_values": "NA"}, "missing_values must be a list of texts"),
        ({"ledger": 7}, "ledger must be a text"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, says) -> None:
    columns = {"age": Numerical(0, 99), "one": Categorical(("a",))}
    with pytest.raises(DomainError, match=r"^the domain") as refused:
        Domain(**{"columns": columns, **settings})
    assert says in str(refused.value)


def test_all_problems_of_a_domain_stand_in_one_message() -> None:
    with pytest.raises(DomainError) as refused:
        Domain({"a": Numerical(1, 0), "b": Categorical(()), "c": Numerical(NAN, 1)})
    assert "3 problems" in str(refused.value)
    for name in ("'a'", "'b'", "'c'"):
        assert name in str(refused.value)


def test_numpy_scalars_and_lists_are_taken_as_their_python_equals() -> None:
    one = Domain({"a": Categorical(list(np.array([1, 2])))}, ignore=["id"])  # type: ignore[arg-type]
    assert one == Domain({"a": Categorical((1, 2))}, ignore=("id",))
    assert Domain.loads(one.dumps()) == one


def test_slots_lie_side_by_side_and_leave_the_label_out() -> None:
    domain = Domain(
        {
            "a": Categorical(("x", "y"), missing=True, other=True),
            "label": Ordinal((0, 1)),
            "n": Numerical(0, 1, missing=True),
            "t": Timestamp("2020-01-01", "2021-01-01"),
        },
        label="label",
    )
    assert [(s.column, s.kind, s.start, s.stop) for s in domain.slots] == [
        ("a", "categorical", 0, 4),
        ("n", "numerical", 4, 5),
        ("n", "missing", 5, 6),
        ("t", "numerical", 6, 7),
    ]
    assert (domain.width, domain.n_classes) == (7, 2)
    assert domain.largest_norm == math.sqrt(3)


@pytest.mark.parametrize(
    ("value", "key"),
    [(1, "1"), (1.0, "1"), ("1", "1"), (-0.0, "0"), (True, "true"), (np.bool_(False), "false"), (2.5, "2.5"),
     (2**63 + 1, "9223372036854775809"), (math.inf, "inf"), ("", ""), ("007", "007")],
)  # fmt: skip
def test_a_value_is_matched_by_this_text(value, key) -> None:
    assert category_key(value) == key


@given(st.text().filter(lambda text: text < "\ud800" or text.isprintable()))
def test_any_column_name_makes_a_heading_that_toml_reads_back(name: str) -> None:
    import tomllib

    assert tomllib.loads(f"{table_name(name)}\na = 1\n") == {"columns": {name: {"a": 1}}}
