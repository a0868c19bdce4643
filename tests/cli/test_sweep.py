from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keshi.auditing import identification
from keshi.censoring.schedules import SCHEDULES
from keshi.cli.sweep import sweep
from keshi.errors import ArtifactError

app = typer.Typer()
app.command()(sweep)


@pytest.fixture
def people_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    short = replace(SCHEDULES["quick"], pretrain_epochs=1, rounds=2, iterations=2, batch_size=16)
    monkeypatch.setitem(SCHEDULES, "quick", short)
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)
    rng = np.random.default_rng(0)
    lines = ["person,activity,ax"]
    for person in "ABCD":
        for activity in ("walk", "run"):
            lines += [f"{person},{activity},{value:.3f}" for value in rng.normal(size=60)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_a_sweep_writes_every_cell_and_the_figures_and_goes_on_where_it_was(
    people_csv: Path, tmp_path: Path
) -> None:
    common = (people_csv, "--label", "activity", "--subject", "person", "--window", 10, "--split", "blocked",
              "--quick", "--methods", "scl", "-o", tmp_path / "sweep")  # fmt: skip
    said = run(*common, "--strengths", "1")
    results = tmp_path / "sweep" / "results.jsonl"
    cells = [json.loads(line)["cell"] for line in results.read_text().splitlines()]
    assert [(one["method"], one["strength"]) for one in cells] == [("cnn", 0.0), ("sct", 1.0), ("sct", 0.0)]
    assert str(tmp_path / "sweep" / "figures" / "claims.md") in said
    before = results.read_bytes()
    run(*common, "--strengths", "1,2")
    assert results.read_bytes().startswith(before)
    assert len(results.read_text().splitlines()) == 4


def test_wrong_options_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    for option, value, message in (
        ("--methods", "cnn", "must name at least one method with an adversary"),
        ("--methods", "gan", "method must be one of"),
        ("--strengths", "-1", "strengths .* at least 0"),
        ("--strengths", "1;2", r"strengths \(--strengths\) must be numbers with commas .* got '1;2'"),
        ("--further-seeds", "one", r"further-seeds \(--further-seeds\) must be numbers .* got 'one'"),
        ("--further-seeds", "0.5", "seed must be a whole number"),
        ("--seed", "-1", "seed must be a whole number"),
        ("--threads", "0", r"threads \(--threads\) must be a whole number of at least 1, got 0"),
        ("--preset", "long", "preset .* must be one of"),
        ("--split", "half", "split .* must be one of"),
        ("--jobs", "0", r"jobs \(--jobs\) must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run(tmp_path / "none.csv", option, value, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_shall_be_is_named_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("precious")
    for output in (file, file / "sweep"):
        with pytest.raises(ArtifactError, match=r"results.csv is a file, and a sweep needs a folder"):
            run(tmp_path / "none.csv", "-o", output)
    assert file.read_text() == "precious"


def test_help_ends_with_a_line_to_paste() -> None:
    assert "Example: keshi sweep USC-HAD/" in " ".join(run("--help").split())
