"""Records drawn without regard to the constraints keep all of them after repair and rejection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.constraints import Constraint, bind_constraints
from keshi.records.domain import Domain
from keshi.records.repairs import repaired
from keshi.records.tables import TableEncoder

COLUMNS = {
    "age": Numerical(0, 99, integer=True),
    "job": Categorical(("clerk", "none", "cook"), missing=True),
    "first": Timestamp("2020-01-01", "2021-01-01", missing=True),
    "last": Timestamp("2020-03-01", "2021-06-01"),
    "low": Numerical(0, 10, integer=True, missing=True),
    "mid": Numerical(0, 12, dtype="float32"),
    "high": Numerical(0, 10),
    "wages": Numerical(0, 100),
    "rents": Numerical(0, 100),
    "income": Numerical(0, 250, missing=True),
    "class": Categorical(("yes", "no")),
}
CONSTRAINTS = (
    Constraint("first <= last"),
    Constraint("low <= mid <= high"),
    Constraint("income == wages + rents"),
    Constraint("job is missing", given="age < 15"),
    Constraint("job == 'none' and wages == 0", given="15 <= age < 20"),
    Constraint("age >= 18", given="class == 'yes'"),
)
DOMAIN = Domain(COLUMNS, label="class", constraints=CONSTRAINTS)


def drawn(n: int, seed: int, domain: Domain = DOMAIN) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    vectors = random.uniform(-1, 1, (n, domain.width))
    return TableEncoder(domain).decode(vectors, random.integers(0, domain.n_classes, n))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_every_record_that_is_kept_keeps_every_constraint(seed: int) -> None:
    frame = drawn(200, seed)
    before = frame.copy(deep=True)
    after, good = repaired(frame, bind_constraints(CONSTRAINTS, COLUMNS, {}), DOMAIN)
    pd.testing.assert_frame_equal(frame, before)
    assert (after.dtypes == before.dtypes).all()
    kept = after[good]
    assert (kept["first"].isna() | (kept["first"] <= kept["last"])).all()
    assert ((kept["low"] <= kept["mid"]).fillna(True) & (kept["mid"] <= kept["high"])).all()
    gap = (kept["income"] - kept["wages"] - kept["rents"]).abs()
    assert (gap.isna() | (gap < 1e-5)).all()
    assert kept["job"][kept["age"] < 15].isna().all()
    young = kept[kept["age"].between(15, 19)]
    assert (young["job"] == "none").all()
    assert (young["wages"] == 0).all()
    assert (kept["age"][kept["class"] == "yes"] >= 18).all()
    assert (after["class"] == before["class"]).all()  # the label was drawn; it is never repaired
    for name, column in COLUMNS.items():
        if isinstance(column, Numerical):
            assert kept[name].dropna().between(column.lower, column.upper).all()
    TableEncoder(DOMAIN).encode(kept)  # and every value is still one of the domain's


def test_repair_is_exact_where_it_can_be_and_so_loses_no_record() -> None:
    columns = {"a": Numerical(0, 9), "b": Numerical(0, 9), "c": Numerical(0, 9), "t": Numerical(0, 27)}
    rules = (Constraint("t == a + b + c"), Constraint("a <= b <= c"))
    domain = Domain(columns, constraints=rules)
    frame = drawn(500, 0, domain)
    after, good = repaired(frame, bind_constraints(rules, columns, {}), domain)
    assert good.all()
    np.testing.assert_array_equal(np.sort(frame[["a", "b", "c"]], axis=1), after[["a", "b", "c"]])
    np.testing.assert_allclose(after["t"], frame[["a", "b", "c"]].sum(axis=1))


def test_sums_of_short_floats_are_kept_within_their_rounding() -> None:
    columns = {name: Numerical(0, 1_000, dtype="float32") for name in ("a", "b")} | {
        "t": Numerical(0, 2_000, dtype="float32")
    }
    rules = (Constraint("t == a + b"),)
    domain = Domain(columns, constraints=rules)
    _, good = repaired(drawn(500, 0, domain), bind_constraints(rules, columns, {}), domain)
    assert good.all()


def test_a_swap_that_would_leave_the_bounds_is_not_made() -> None:
    columns = {"a": Numerical(0, 5), "b": Numerical(0, 9)}
    rules = (Constraint("b <= a"),)
    frame = pd.DataFrame({"a": [1.0, 1.0, 3.0], "b": [2.0, 8.0, 3.0]})
    after, good = repaired(frame, bind_constraints(rules, columns, {}), Domain(columns, constraints=rules))
    assert good.tolist() == [True, False, True]
    assert after["a"].tolist() == [2.0, 1.0, 3.0]


def test_a_total_beyond_its_bounds_and_the_label_are_not_repaired() -> None:
    columns = {"a": Numerical(0, 5), "t": Numerical(0, 6, integer=True), "class": Categorical(("x", "y"))}
    rules = (Constraint("t == a + a"), Constraint("class == 'x'", given="a < 1"))
    domain = Domain(columns, label="class", constraints=rules)
    frame = pd.DataFrame(
        {"a": [2.0, 4.0, 0.7, 0.5, 0.5], "t": [1, 1, 1, 1, 1], "class": ["y", "y", "x", "x", "y"]}
    )
    after, good = repaired(frame, bind_constraints(rules, columns, {}), domain)
    assert good.tolist() == [True, False, False, True, False]
    assert after["t"].tolist() == [4, 1, 1, 1, 1]
    assert after["class"].tolist() == frame["class"].tolist()


def test_a_missing_value_leaves_a_rule_open_and_does_not_fulfil_a_demand() -> None:
    columns = {"a": Numerical(0, 9, missing=True), "b": Numerical(0, 9), "k": Categorical(("x", "y"))}
    frame = pd.DataFrame({"a": [np.nan, np.nan], "b": [1.0, 1.0], "k": ["x", "y"]})
    for rule, expected in (
        (Constraint("a <= b"), [True, True]),
        (Constraint("a <= b", given="k == 'x'"), [False, True]),
    ):
        domain = Domain(columns, constraints=(rule,))
        _, good = repaired(frame, bind_constraints((rule,), columns, {}), domain)
        assert good.tolist() == expected


TOML = """
format = "keshi-domain-1"
[columns.a]
type = "numerical"
lower = 0
upper = 9
[columns.b]
type = "numerical"
lower = 0
upper = 9
missing = true
"""


def test_constraints_are_written_to_the_domain_file_and_come_back() -> None:
    text = (
        TOML
        + '[[constraints]]\nrule = "a <= b"\ntolerance = 0.5\n[[constraints]]\nif = "a < 1"\nthen = "b is missing"'
    )
    domain = Domain.loads(text)
    assert domain.constraints == (
        Constraint("a <= b", tolerance=0.5),
        Constraint("b is missing", given="a < 1"),
    )
    assert Domain.loads(domain.dumps()) == domain


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('rule = "a <= c"', "constraint 1: there is no column 'c'"),
        ('rule = "a <"', "constraint 1: expected a column or a value"),
        ('rule = "a > 10"', "no record can meet this"),
        ('rule = "a < 3 and a > 4"', "the constraints contradict each other"),
        ('if = "a >= 0"\nthen = "a < 3 and a > 4"', "the constraints contradict each other"),
        ('if = "a < 3"', "expected rule, or if and then"),
        ('rule = "a <= b"\nthen = "a < 3"', "expected rule, or if and then"),
        ("rule = 3", "rule must be a text"),
        ('rule = "a == b"\ntolerance = -1', "tolerance must be a number of at least 0"),
        ('rule = "id == 3"', "an identifier"),
    ],
)
def test_a_wrong_constraint_is_found_when_the_domain_is_loaded(table: str, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        Domain.loads(f'{TOML}[identifiers]\nid = "uuid"\n[[constraints]]\n{table}')


def test_constraints_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(DomainError, match="contradict"):
        Domain(COLUMNS, constraints=(Constraint("age < 20"), Constraint("age > 30")))
    Domain(COLUMNS, constraints=(Constraint("low < 3"), Constraint("low > 7")))  # a missing one keeps both


def test_sums_and_swaps_keep_the_declared_decimals() -> None:
    columns = {
        "net": Numerical(0, 100, decimals=2),
        "tax": Numerical(0, 20, decimals=2),
        "gross": Numerical(0, 130, decimals=2),
        "paid": Numerical(0, 130, decimals=1),
    }
    rules = (Constraint("gross == net + tax", tolerance=0), Constraint("paid <= gross"))
    domain = Domain(columns, constraints=rules)
    frame, kept = repaired(drawn(2_000, 0, domain), bind_constraints(rules, columns, {}), domain)
    assert kept.mean() > 0.5
    frame = frame[kept]
    for name, decimals in (("net", 2), ("tax", 2), ("gross", 2), ("paid", 1)):
        assert (frame[name] == frame[name].round(decimals)).all()
    assert ((frame["net"] + frame["tax"]).round(2) == frame["gross"]).all()
    assert (frame["paid"] <= frame["gross"]).all()


def test_swaps_keep_the_declared_resolution() -> None:
    columns = {
        "admitted": Timestamp("2020-01-01", "2020-02-01", resolution="day"),
        "left": Timestamp("2020-01-10T00:00", "2020-02-20T00:00", resolution="hour"),
    }
    rules = (Constraint("admitted <= left"),)
    domain = Domain(columns, constraints=rules)
    frame, kept = repaired(drawn(2_000, 0, domain), bind_constraints(rules, columns, {}), domain)
    frame = frame[kept]
    assert kept.mean() > 0.5
    assert (frame["admitted"] <= frame["left"]).all()
    assert (frame["admitted"] == frame["admitted"].dt.floor("D")).all()
    assert (frame["left"] == frame["left"].dt.floor("h")).all()
    assert (frame["left"] != frame["left"].dt.floor("D")).any()


def test_a_computed_total_does_not_show_how_floats_are_rounded() -> None:
    columns = {"a": Numerical(0, 1), "b": Numerical(0, 1), "c": Numerical(0, 2)}
    rule = (Constraint("c == a + b", tolerance=0),)
    frame = pd.DataFrame({"a": [0.1, 0.7], "b": [0.2, 0.1], "c": [2.0, 2.0]})
    frame, kept = repaired(frame, bind_constraints(rule, columns, {}), Domain(columns, constraints=rule))
    assert kept.all()
    assert frame["c"].tolist() == [0.3, 0.8]
