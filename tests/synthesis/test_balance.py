from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.errors import ConditionError
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.synthesis.balance import class_quotas, part_of

DOMAIN = Domain(
    {"x": Numerical(0, 1), "in: come": Categorical(("<=50K", ">50K", "a, b"), other=True)}, label="in: come"
)
WEIGHTS = np.array([0.6, 0.2, 0.1, 0.1])


def quotas(balance, n=1_000, allowed=(True,) * 4, domain=DOMAIN):
    return class_quotas(balance, n, domain, allowed=np.array(allowed), class_weights=WEIGHTS).tolist()


@pytest.mark.parametrize(
    "balance",
    [
        "in: come: >50K=0.25, <=50K=0.75",
        "`in: come`: <=50K=.75, '>50K' = 0.25",
        ">50K=0.25,<=50K=0.75",
        {">50K": 0.25, "<=50K": 0.75},
    ],
)
def test_a_balance_is_read_in_every_form(balance) -> None:
    assert quotas(balance) == [750, 250, 0, 0]


def test_classes_that_are_not_named_divide_the_rest_as_the_generator_would() -> None:
    assert quotas({">50K": 0.5}) == [375, 500, 63, 62]
    assert quotas({">50K": 0.5}, allowed=(False, True, True, True)) == [0, 500, 250, 250]
    assert quotas("in: come: 'a, b'=1, OTHER=0") == [0, 0, 1_000, 0]


def test_equal_is_equal_among_the_classes_that_are_possible() -> None:
    assert quotas("equal", 10) == [3, 3, 2, 2]
    assert quotas("equal", 10, allowed=(True, False, True, False)) == [5, 0, 5, 0]


@given(st.lists(st.floats(0.001, 1), min_size=4, max_size=4), st.integers(1, 10**12))
def test_quotas_add_up_and_are_within_one_of_the_shares(shares, n) -> None:
    shares = np.array(shares) / sum(shares)
    names = ["<=50K", ">50K", "a, b", "OTHER"]
    found = np.array(quotas({name: float(s) for name, s in zip(names, shares, strict=True)}, n))
    assert found.sum() == n
    assert (np.abs(found - shares * n) <= 1 + 1e-3).all()


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=6), st.integers(1, 10**6))
def test_parts_use_up_the_quotas_and_never_more(needed, rows) -> None:
    needed = np.array(needed)
    part = part_of(needed, rows)
    assert part.sum() == min(rows, needed.sum())
    assert (part >= 0).all()
    assert (part <= needed).all()


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ("income: >50K=1", "is for the label, which is 'in: come'"),
        ("in: come: >50k=1", "'>50k' is no class"),
        ("in: come: >50K=0.5 <=50K=0.5", "no class"),
        ("in: come: >50K", "expected CLASS=SHARE"),
        ("", "must be"),
        ("in: come: >50K=0.7, <=50K=0.6", "add up to 1, got 1.3"),
        ({"<=50K": 0.1, ">50K": 0.1, "a, b": 0.1, "OTHER": 0.1}, "add up to 1, got 0.4"),
        ({">50K": -1}, "a number from 0 to 1"),
        ({">50K": float("nan")}, "a number from 0 to 1"),
        (">50K=0.5, >50K=0.5", "twice"),
        (0.5, "must be"),
    ],
)
def test_what_is_no_balance_is_refused_with_advice(balance, message: str) -> None:
    with pytest.raises(ConditionError, match=message):
        quotas(balance)


def test_a_class_that_the_condition_excludes_and_a_table_without_label_are_refused() -> None:
    with pytest.raises(ConditionError, match="'>50K', which the condition"):
        quotas({">50K": 0.5}, allowed=(True, False, True, True))
    with pytest.raises(ConditionError, match="has no label"):
        quotas("equal", domain=Domain({"x": Numerical(0, 1)}))
