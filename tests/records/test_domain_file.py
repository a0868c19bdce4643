from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Numerical, Ordinal, Timestamp
from keshi.records.domain import Domain, Learned
from keshi.records.domain_file import draft

HEAD = 'format = "keshi-domain-1"\n'
AGE = '[columns.age]\ntype = "numerical"\nlower = 0\nupper = 99\n'
MOMENT = '[columns.t]\ntype = "timestamp"\nlower = 2020-01-01\nupper = 2021-01-01\n'
COST = '[learned]\nmu = 0.1\ndelta = 1e-6\nunit = "adding or removing one record"\nepsilon = 0.3\n'
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
columns = st.one_of(
    st.builds(
        Categorical,
        st.lists(st.one_of(text, st.integers()), min_size=1, max_size=4, unique_by=str).map(tuple),
        missing=st.booleans(),
    ),
    st.builds(Ordinal, st.just((1, 2, 3)), other=st.booleans()),
    st.builds(
        Numerical,
        st.floats(-1e9, 0),
        st.floats(1, 1e9),
        missing=st.booleans(),
        bins=st.sets(st.floats(0, 1, exclude_min=True, exclude_max=True)).map(
            lambda cuts: tuple(sorted(cuts))
        ),
    ),
    st.builds(
        Timestamp,
        st.just("2020-01-01"),
        st.just("2021-01-01T05:00:00"),
        missing=st.booleans(),
        bins=st.sampled_from([(), ("2020-02-01", "2020-03-01T00:00:01")]),
        resolution=st.sampled_from([None, "second"]),
    ),
)


@settings(max_examples=60)
@given(
    st.dictionaries(text, columns, min_size=1, max_size=4),
    st.lists(text, max_size=2),
    st.none()
    | st.builds(
        Learned,
        mu=st.floats(1e-300, 1e9),
        delta=st.floats(1e-300, 0.5),
        unit=text.filter(str.strip),
        epsilon=st.floats(1e-9, 100),
        ledger=text,
        run=text,
    ),
)
def test_a_domain_comes_back_from_its_file_as_it_was(declared, missing_values, learned) -> None:
    domain = Domain(declared, missing_values=tuple(missing_values), outside="refuse", learned=learned)
    assert Domain.loads(domain.dumps()) == domain


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "first line must be format"),
        ("x = = 1", "not TOML"),
        ('format = "keshi-domain-9"', "first line must be format"),
        (HEAD, "no columns"),
        (HEAD + "columns = 3", "columns must be tables"),
        (HEAD + "[columns]\nage = 3", "must be a table with a type"),
        (HEAD + "colums = 1\n" + AGE, "unknown setting 'colums'"),
        (HEAD + AGE + "low = 1", "unknown setting 'low'"),
        (HEAD + '[columns.age]\ntype = "number"', "type must be one of"),
        (HEAD + '[columns.age]\ntype = "numerical"', "lower and upper not declared"),
        (HEAD + '[columns.a]\ntype = "categorical"\ncategories = "ab"', "categories must be a list"),
        (HEAD + '[columns.a]\ntype = "categorical"\ncategories = [1, nan]', "finite numbers"),
        (HEAD + 'missing_values = "NA"\n' + AGE, "missing_values must be a list"),
        (HEAD + AGE.replace("0", '"0"', 1), "finite number"),
        (HEAD + AGE + "missing = 1", "missing must be true or false"),
        (HEAD + AGE + "bins = 3", "bins must be a list of cut points"),
        (HEAD + AGE + "bins = [1, nan]", "bins must be finite numbers; got [nan]"),
        (HEAD + AGE + 'bins = ["1"]', "bins must be finite numbers"),
        (HEAD + AGE + "bins = [true]", "bins must be finite numbers"),
        (HEAD + AGE + "bins = [1, 1]", "bins must ascend"),
        (HEAD + AGE + "bins = [0, 1]", "without touching them; got [0, 1] between 0 and 99"),
        (HEAD + AGE + "bins = [98, 99]", "without touching them"),
        (HEAD + AGE + f"bins = {[i / 10 for i in range(1, 257)]}", "at most 255 cut points"),
        (HEAD + MOMENT + "bins = [7]", "bins must be moments such as"),
        (HEAD + MOMENT + "bins = [2020-02-01T00:00:00Z]", "with an offset where the bounds have one"),
        (HEAD + MOMENT + 'bins = ["2020-03-01", "2020-02-01"]', "bins must ascend"),
        (HEAD + "learned = 3\n" + AGE, "learned must be a table"),
        (HEAD + AGE + "[learned]\nmu = 0.1", "delta and unit and epsilon not there"),
        (HEAD + AGE + COST + "mus = 1", "learned: unknown setting 'mus'"),
        (
            HEAD + AGE + COST.replace("0.1", "-0.1"),
            "learned: mu must be a number, positive and finite, got -0.1",
        ),
        (HEAD + AGE + COST.replace("0.1", "true"), "mu must be a number, positive and finite, got True"),
        (HEAD + AGE + COST.replace("0.1", "nan"), "mu must be a number, positive and finite, got nan"),
        (HEAD + AGE + COST.replace("0.3", "inf"), "epsilon must be a number, positive and finite, got inf"),
        (HEAD + AGE + COST.replace("1e-6", "1.0"), "delta must be a number, between 0 and 1, got 1.0"),
        (HEAD + AGE + COST.replace("1e-6", "0"), "delta must be a number, between 0 and 1, got 0"),
        (HEAD + AGE + COST + "run = 7", "learned: run must be a text, got 7"),
        (HEAD + AGE + COST.replace("adding or removing one record", " "), "learned: unit is empty"),
    ],
)
def test_a_bad_file_is_refused_with_a_reason(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(content)
    with pytest.raises(DomainError) as refused:
        Domain.read(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_or_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    for name, says in (("none.toml", "no such domain file"), ("latin.toml", "UTF-8"), (".", "folder")):
        with pytest.raises(DomainError, match=says):
            Domain.read(tmp_path / name)


def test_a_byte_order_mark_and_toml_s_own_days_and_moments_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    bounds = "lower = 2020-01-01\nupper = 2021-01-01T00:00:00"
    path.write_text(f'{HEAD}[columns.t]\ntype = "timestamp"\n{bounds}', encoding="utf-8-sig")
    assert Domain.read(path).columns["t"] == Timestamp("2020-01-01", "2021-01-01T00:00:00")


def test_bins_are_read_from_toml_s_own_moments_and_kept_as_tuples() -> None:
    column = Domain.loads(HEAD + MOMENT + "bins = [2020-02-01, 2020-03-01T12:00:00]").columns["t"]
    assert isinstance(column, Timestamp)
    assert column.bins == ("2020-02-01", "2020-03-01T12:00:00")
    assert column.bins_seconds == (1_580_515_200.0, 1_583_064_000.0)
    number = Domain.loads(HEAD + AGE + "bins = [18, 65.5]").columns["age"]
    assert number == Numerical(0, 99, bins=(18, 65.5))
    assert Numerical(0, 99, bins=[np.int64(18)]) == Numerical(0, 99, bins=(18,))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["integer", "number", "timestamp"])
def test_a_draft_says_how_bins_are_filled_and_is_a_domain_without_them(kind: str) -> None:
    written = draft({"x": kind}, source="x.csv")
    filled = "\n".join(
        line[2:].replace("?", "0" if "lower" in line else "9") if line[2:7] in ("lower", "upper") else line
        for line in written.splitlines()
    )
    assert "# bins = [" in written
    assert "may be left out" in written
    assert Domain.loads(filled).columns["x"].bins == ()  # type: ignore[union-attr]
    with_bins = filled.replace("# bins = [?, ?]", "bins = [2, 3]").replace("# bins", "bins")
    assert len(Domain.loads(with_bins).columns["x"].bins) == 2  # type: ignore[union-attr]


def test_a_draft_filled_in_is_a_domain_whatever_the_columns_are_called() -> None:
    names = [
        "age",
        "class",
        "true",
        "a.b",
        'say "hi"',
        "名前",
        "שלום",
        "🙂",
        "",
        "x\0y",
        "two\nlines",
        "\x7f",
    ]
    written = draft(dict.fromkeys(names, "number"), source="a\nfile.csv")
    filled = written.replace("# lower = ?", "lower = 0 #").replace("# upper = ?", "upper = 1")
    assert list(Domain.loads(filled).columns) == names


def test_an_unfilled_draft_says_for_every_column_what_is_to_be_declared() -> None:
    with pytest.raises(DomainError) as refused:
        Domain.loads(draft({"a": "text", "b": "integer", "c": "timestamp", "d": "boolean"}, source="x"))
    assert "3 problems" in str(refused.value)
    assert "public knowledge" in str(refused.value)


def test_all_problems_of_the_cost_and_of_the_columns_are_named_together() -> None:
    bad = COST.replace("0.1", "0").replace("1e-6", "2") + "x = 1\n"
    with pytest.raises(DomainError) as refused:
        Domain.loads(HEAD + '[columns.age]\ntype = "numerical"\n' + bad)
    for says in ("4 problems", "lower and upper", "unknown setting 'x'", "mu must be", "delta must be"):
        assert says in str(refused.value)


def test_the_cost_of_learning_is_part_of_a_domain_and_checked_in_python_too() -> None:
    declared = Domain.loads(HEAD + AGE)
    assert declared.learned is None
    learned = Domain.loads(HEAD + AGE + COST)
    assert learned.learned == Learned(0.1, 1e-6, "adding or removing one record", 0.3)
    assert learned != declared
    with pytest.raises(DomainError, match="mu must be"):
        Domain(declared.columns, learned=Learned(0.0, 1e-6, "adding or removing one record", 0.3))
    with pytest.raises(DomainError, match="a Learned"):
        Domain(declared.columns, learned={"mu": 0.1})  # type: ignore[arg-type]


def test_the_slack_of_learning_grows_with_a_guarantee_beyond_epsilon_20_as_the_grid_s_does() -> None:
    from keshi.privacy.accounting import delta_slack

    distance = 1e-19
    learned = Learned(0.1, delta_slack(distance, 20.0), "adding or removing one record", 0.3)
    for epsilon in (0.1, 1.0, 19.0, 20.0, 21.0, 30.0):
        assert learned.delta_at(epsilon) >= delta_slack(distance, epsilon)
    assert learned.delta_at(1.0) == learned.delta
