"""The paper's experiment from its command line to its figures, on few made-up recordings of every person."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keshi.auditing import identification
from keshi.censoring.schedules import SCHEDULES
from keshi.cli.censor_sweep import STRENGTHS, read_results
from keshi.records.windows import WINDOW_PRESETS
from keshi.reports.sweep import write_sweep_report

SCRIPT = Path(__file__).parents[2] / "experiments" / "usc_had.py"
PEOPLE, ACTIVITIES, SAMPLES = 13, 3, 100  # five windows of 30 a recording, with the paper's half-open loop


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    person, activity = (a.ravel() for a in np.meshgrid(np.arange(1, PEOPLE + 1), np.arange(ACTIVITIES)))
    x = rng.normal(size=(len(person), SAMPLES, 2)) + np.stack([person, 3 * activity], axis=1)[:, None]
    path = tmp_path / "made_up.npz"
    np.savez(
        path,
        x=x.reshape(-1, 2).astype(np.float32),
        length=np.full(len(person), SAMPLES),
        activity=activity,
        subject=person,
    )
    return path


def test_the_quick_experiment_runs_goes_on_and_draws_its_figures(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    counted = replace(WINDOW_PRESETS["uschad-paper"], expected=PEOPLE * ACTIVITIES * 5)
    monkeypatch.setitem(WINDOW_PRESETS, "uschad-paper", counted)
    monkeypatch.setitem(SCHEDULES, "quick", replace(SCHEDULES["quick"], pretrain_epochs=1, batch_size=16))
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)
    script = runpy.run_path(str(SCRIPT))
    script["QUICK"].update(strengths=(1.0,), rounds=2, iterations=2, most_windows=60)

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["usc_had.py", *map(str, arguments)])
        script["main"]()
        return capsys.readouterr().out

    sweep = ("--data", recordings, "--quick", "--methods", "cnn,sct", "-o", tmp_path / "sweep")
    run(*sweep)
    results = tmp_path / "sweep" / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    cells = [(line["cell"]["method"], line["cell"]["strength"]) for line in lines]
    assert cells == [("cnn", 0.0), ("sct", 1.0), ("sct", 0.0)]
    assert {tuple(line["unknown"]) for line in lines} == {("11", "12", "13")}
    assert {line["training_windows"] for line in lines} == {60}
    assert [len(line["points"]) for line in lines] == [1, 2, 2]
    before = results.read_bytes()
    run(*sweep)
    assert results.read_bytes() == before  # all is there: nothing is trained again
    drawn = run("-o", tmp_path / "sweep", "--figures", tmp_path / "figures").split()
    assert {Path(file).name for file in drawn} >= {"trade_off_known.svg", "claims.md"}
    assert "| sct better than its control * | known |" in (tmp_path / "figures" / "claims.md").read_text()


def test_the_kept_results_give_the_kept_figures_and_the_table_of_the_document(tmp_path: Path) -> None:
    root = SCRIPT.parents[1]
    kept = root / "docs" / "explanation" / "sweep"
    results = read_results(root / "benchmarks" / "results" / "usc_had")
    write_sweep_report(results, tmp_path, planned=STRENGTHS)
    assert (tmp_path / "claims.md").read_text() == (kept / "claims.md").read_text()
    assert {file.name for file in kept.iterdir()} == {file.name for file in tmp_path.iterdir()}
    at_strength_one = (kept / "claims.md").read_text().split("\n\n")[0]
    assert at_strength_one in (root / "docs" / "explanation" / "censoring.md").read_text()
