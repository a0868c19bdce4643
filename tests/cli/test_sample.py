"""keshi sample and synthesize with conditions, a balance, constraints and identifiers."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keshi.cli.app import main as app_main

DOMAIN = """\
format = "keshi-domain-1"
label = "class"
identifiers = { customer = "sequence", key = { kind = "uuid", after = "low" } }
[columns.low]
type = "numerical"
lower = 0
upper = 99
integer = true
[columns.high-er]
type = "numerical"
lower = 0
upper = 99
integer = true
[columns.class]
type = "categorical"
categories = ["<=50K", ">50K"]
[[constraints]]
rule = "low <= `high-er`"
"""
SECRET = "C-4711"


def main(*arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["keshi", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stderr(err),
            contextlib.redirect_stdout(out),
            pytest.raises(SystemExit) as ended,
        ):
            app_main()
    finally:
        sys.argv = argv
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of synthesize, made once."""
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    pd.DataFrame(
        {
            "customer": [SECRET] * 300,
            "low": random.integers(
                0, 99, 300
            ),  # half of the records break the constraint: they are not checked
            "high-er": random.integers(0, 99, 300),
            "class": random.choice(["<=50K", ">50K"], 300),
        }
    ).to_csv(folder / "people.csv", index=False)
    (folder / "people.toml").write_text(DOMAIN)
    status, _, said = main(
        "synthesize", folder / "people.csv", "--domain", folder / "people.toml", "--epsilon", 1, "--preset", "paper",
        "--steps", 5, "--rows", 60, "-o", folder / "run",
    )  # fmt: skip
    assert status == 0, said
    return folder


def checked(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    assert list(table.columns) == ["customer", "low", "key", "high-er", "class"]
    assert table["customer"].tolist() == list(range(1, rows + 1))
    assert table["key"].nunique() == rows
    assert (table["low"] <= table["high-er"]).all()
    return table


def test_synthesize_keeps_constraints_and_makes_up_identifiers(folder: Path) -> None:
    checked(pd.read_csv(folder / "run/release/synthetic.csv"), 60)
    for file in (folder / "run").rglob("*"):
        assert not file.is_file() or SECRET not in file.read_bytes().decode(errors="ignore"), file
    assert "constraints" in (folder / "run/release/CARD.md").read_text()


def test_sample_takes_a_condition_and_a_balance_and_tells_the_count(folder: Path, tmp_path: Path) -> None:
    status, out, err = main(
        "sample", folder / "run/release/generator", "--rows", 200, "-o", tmp_path / "s.csv",
        "--where", "low >= 30 and `high-er` not in [60, 61]", "--balance", "class: >50K=0.25, <=50K=0.75",
    )  # fmt: skip
    assert status == 0, err
    table = checked(pd.read_csv(tmp_path / "s.csv"), 200)
    assert (table["low"] >= 30).all()
    assert not table["high-er"].isin([60, 61]).any()
    assert table["class"].value_counts().to_dict() == {"<=50K": 150, ">50K": 50}
    assert "wrote" in out
    assert "200 records of " in err
    assert " drawn (" in err
    assert " drawn (" not in out


def test_the_same_records_come_as_parquet_with_the_dtypes_of_the_domain(folder: Path, tmp_path: Path) -> None:
    for name in ("s.parquet", "s.csv"):
        status, _, err = main(
            "sample",
            folder / "run/release/generator",
            "--rows",
            150,
            "--where",
            "class == '>50K'",
            "-o",
            tmp_path / name,
        )
        assert status == 0
        assert "150 records of 150 drawn (100 %)" in err
    table = checked(pd.read_parquet(tmp_path / "s.parquet"), 150)
    assert [str(table[name].dtype) for name in ("customer", "low", "high-er")] == ["int64"] * 3
    pd.testing.assert_frame_equal(table, pd.read_csv(tmp_path / "s.csv"), check_dtype=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--where", "lo == 3"], "did you mean 'low'?"),
        (["--where", "class == '>50k'"], "'>50k' is no category of column 'class'; did you mean '>50K'?"),
        (["--where", "low = 3"], "write =="),
        (["--where", "low < 3 and low > 5"], "contradicts itself"),
        (["--where", "customer == 3"], "an identifier"),
        (["--where", ""], "the condition is empty"),
        (["--balance", "low: 3=0.5"], "which is 'class'; got 'low'"),
        (["--balance", "equally"], "equally"),
        (["--where", "class == '>50K'", "--balance", "class: <=50K=0.5, >50K=0.5"], "excludes"),
        (["--where", "low == `high-er` and low in [3]", "--most-draws", "10"], "of 10 drawn"),
        (["--most-draws", "0"], "most_draws must be"),
    ],
)
def test_what_cannot_be_sampled_ends_with_status_2_and_no_file(
    folder: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    command = ["sample", folder / "run/release/generator", "--rows", 10, "-o", tmp_path / "s.csv", *options]
    status, out, err = main(*command)
    assert status == 2
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.iterdir())
