"""With the paid values held fixed, nothing that `keshi synthesize` releases or prints depends on the records.

The command runs as it is, on neighbouring tables; only the noisy sums that leave the door are pinned, because they may
differ: they are what was paid for. The ledger's lines hold a hash of them, so they are pinned at the draw itself.
"""

import os

import numpy as np
import pandas as pd
import pytest

from keshi.cli.app import app
from keshi.privacy import mechanisms
from keshi.synthesis import synthesizer
from keshi.synthesis.features import AMPLITUDE, WEIGHT

DOMAIN = """format = "keshi-domain-1"
label = "ill"
outside = "clip"
ignore = ["person"]
[columns.age]
type = "numerical"
lower = 0
upper = 100
integer = true
missing = true
[columns.since]
type = "timestamp"
lower = "2000-01-01T00:00:00"
upper = "2030-01-01T00:00:00"
[columns.town]
type = "categorical"
categories = ["Kyoto", "Nara", "Osaka"]
other = true
missing = true
[columns.ill]
type = "categorical"
categories = ["no", "yes", "unknown"]
"""
RECORDS = 90
EXTREMES = [
    {
        "age": 1e300,
        "since": "2030-01-01T00:00:00",
        "town": "a town that nobody else lives in",
        "ill": "unknown",
    },
    {"age": -1e300, "since": "2000-01-01T00:00:00", "town": None, "ill": "no"},
    {"age": None, "since": "2016-02-29T12:34:56", "town": '東京, "far away"', "ill": "unknown"},
]


def people():
    randomness = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "age": randomness.integers(30, 60, RECORDS).astype(float),
            "since": ["2015-06-01T00:00:00"] * RECORDS,
            "town": randomness.choice(["Kyoto", "Nara"], RECORDS),
            "ill": randomness.choice(["no", "yes"], RECORDS),
        }
    )


def replaced(number):
    table = people()
    for name, value in EXTREMES[number].items():
        table[name] = table[name].astype(object)
        table.loc[7, name] = value
    return table


def synthesize(folder, table, relation, capsys, *options):
    """Run the command in a folder of its own; returns release/ as name -> bytes, and what was printed on stdout."""
    folder.mkdir()
    table.to_csv(folder / "people.csv", index=False)
    (folder / "people.toml").write_text(DOMAIN)
    start = os.getcwd()
    os.chdir(folder)  # the same relative paths in every world
    try:
        arguments = [
            "synthesize",
            "people.csv",
            "--domain",
            "people.toml",
            "--epsilon",
            "1",
            "--output",
            "run",
        ]
        arguments += ["--relation", relation, "--run", "one", "--steps", "2", "--threads", "1", *options]
        app(arguments, standalone_mode=False)
    finally:
        os.chdir(start)
    release = folder / "run" / "release"
    files = {
        path.relative_to(release).as_posix(): path.read_bytes() if path.is_file() else b"(folder)"
        for path in sorted(release.rglob("*"))
    }
    return files, capsys.readouterr().out


@pytest.fixture
def pinned(monkeypatch):
    """The noisy sums that are paid for are the same in every world; everything else runs as it is."""

    def draw(sums, scale):
        records = np.random.default_rng(len(sums)).uniform(5, RECORDS, len(sums))
        return np.rint(records * AMPLITUDE * WEIGHT).astype(np.int64)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", draw)


def assert_same(first, second):
    assert list(first[0]) == list(second[0])
    assert {name: len(data) for name, data in first[0].items()} == {n: len(d) for n, d in second[0].items()}
    assert first[0] == second[0]
    assert first[1] == second[1]


@pytest.mark.parametrize("number", range(len(EXTREMES)))
def test_an_extreme_record_in_place_of_another_changes_no_byte(number, pinned, tmp_path, capsys):
    first = synthesize(tmp_path / "a", people(), "replace-one", capsys, "--no-report")
    second = synthesize(tmp_path / "b", replaced(number), "replace-one", capsys, "--no-report")
    assert "synthetic.csv" in first[0]
    assert "embedding/measurements.safetensors" in first[0]
    assert_same(first, second)


@pytest.mark.parametrize("rows", [RECORDS - 1, RECORDS // 2, 1, 0])
def test_under_add_or_remove_the_number_of_records_changes_no_byte(rows, pinned, tmp_path, capsys):
    first = synthesize(tmp_path / "a", people(), "add-or-remove", capsys, "--no-report")
    second = synthesize(tmp_path / "b", people().iloc[:rows], "add-or-remove", capsys, "--no-report")
    assert_same(first, second)


def test_an_extreme_record_more_changes_no_byte(pinned, tmp_path, capsys):
    more = pd.concat([people(), pd.DataFrame(EXTREMES[:1])], ignore_index=True)
    first = synthesize(tmp_path / "a", people(), "add-or-remove", capsys, "--no-report")
    second = synthesize(tmp_path / "b", more, "add-or-remove", capsys, "--no-report")
    assert_same(first, second)


@pytest.mark.parametrize("preset", ["keshi", "paper"])
def test_a_subject_more_or_a_record_in_another_place_changes_no_byte(preset, pinned, tmp_path, capsys):
    """Every preset for tables, whichever is the default, and weights by subject."""
    table = people().assign(person=[f"p{row % 20}" for row in range(RECORDS)])
    more = pd.concat([table, pd.DataFrame([EXTREMES[0] | {"person": "nobody else"}] * 3)], ignore_index=True)
    options = ("--no-report", "--preset", preset, "--subject", "person", "--max-records", "2")
    first = synthesize(tmp_path / "a", table, "add-or-remove", capsys, *options)
    second = synthesize(tmp_path / "b", more, "add-or-remove", capsys, *options)
    assert f'"preset":"{preset}"'.encode() in first[0]["embedding/manifest.json"]
    assert_same(first, second)


def test_the_order_of_the_records_changes_no_byte(pinned, tmp_path, capsys):
    first = synthesize(tmp_path / "a", people(), "add-or-remove", capsys, "--no-report")
    second = synthesize(tmp_path / "b", people().iloc[::-1], "add-or-remove", capsys, "--no-report")
    assert_same(first, second)


def test_the_private_report_leaves_no_trace_in_the_release_or_on_stdout(pinned, tmp_path, capsys):
    first = synthesize(tmp_path / "a", people(), "add-or-remove", capsys)
    second = synthesize(tmp_path / "b", people().iloc[:-1], "add-or-remove", capsys)
    assert (tmp_path / "a" / "run" / "private" / "report.html").exists()
    assert_same(first, second)
    assert synthesize(tmp_path / "c", people(), "add-or-remove", capsys, "--no-report")[0] == first[0]


def test_under_replace_one_the_number_of_records_is_stated_as_public(pinned, tmp_path, capsys):
    first = synthesize(tmp_path / "a", people(), "replace-one", capsys, "--no-report")
    second = synthesize(tmp_path / "b", people().iloc[:-1], "replace-one", capsys, "--no-report")
    assert first[0]["embedding/manifest.json"] != second[0]["embedding/manifest.json"]
    assert b"the number of records" in first[0]["statement.json"]


def test_a_row_count_that_slips_into_the_release_is_seen(pinned, tmp_path, capsys, monkeypatch):
    """The comparison itself: one leaked number, and it fails."""
    from dataclasses import replace

    real = synthesizer.embed

    def embed(records, *arguments, **options):
        rows = sum(len(batch) for batch in records())
        return replace(real(records, *arguments, **options), public_count=rows)

    monkeypatch.setattr(synthesizer, "embed", embed)
    first = synthesize(tmp_path / "a", people(), "add-or-remove", capsys, "--no-report")
    second = synthesize(tmp_path / "b", people().iloc[:-1], "add-or-remove", capsys, "--no-report")
    with pytest.raises(AssertionError):
        assert_same(first, second)
