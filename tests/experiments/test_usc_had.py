"""The paper's experiment from its command line to its figures, on few made-up recordings of every person."""

from __future__ import annotations

import json
import os
import runpy
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from keshi.auditing import identification
from keshi.censoring.checkpoints import fingerprint
from keshi.censoring.schedules import SCHEDULES
from keshi.cli.censor_sweep import STRENGTHS, SweepPlan, read_results
from keshi.records.windows import WINDOW_PRESETS, Windows
from keshi.reports.sweep import write_sweep_report

SCRIPT = Path(__file__).parents[2] / "experiments" / "usc_had.py"
# Of the kept results (with the windows of USC-HAD), and of the plan alone: who goes on with them must train the same.
KEPT = "b68c17485ae78cf88ed25c706d3b2d6706b4bd1080eca11f0a15b86c24451704"
PLAN = "fda852e55895c526f8bb0ea5c7a4c460f73e4b87fab8fcd1a288ba1a2278f9e4"
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


def default_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path) -> tuple[Windows, SweepPlan]:
    """What the experiment would train on, and how, without options."""
    seen: list[tuple[Windows, SweepPlan]] = []
    script = runpy.run_path(str(SCRIPT))
    sweep = script["main"].__globals__
    monkeypatch.setitem(sweep, "run_sweep", lambda windows, _, __, plan, **___: seen.append((windows, plan)))
    monkeypatch.setattr(sys, "argv", ["usc_had.py", "--data", str(data), "-o", str(tmp_path / "sweep")])
    script["main"]()
    return seen[0]


def of_plan(plan: SweepPlan, *arrays: np.ndarray) -> str:
    return fingerprint(json.loads(json.dumps(asdict(plan))), *arrays)


def test_the_plan_of_the_kept_results_has_not_changed(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = replace(WINDOW_PRESETS["uschad-paper"], expected=PEOPLE * ACTIVITIES * 5)
    monkeypatch.setitem(WINDOW_PRESETS, "uschad-paper", counted)
    _, plan = default_sweep(monkeypatch, tmp_path, recordings)
    assert of_plan(plan) == PLAN


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="needs USC-HAD in KESHI_DATA")
def test_the_kept_results_are_of_the_plan_and_the_windows_that_the_experiment_has_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(os.environ["KESHI_DATA"]) / "usc-had" / "uschad_all.npz"
    windows, plan = default_sweep(monkeypatch, tmp_path, data)
    kept = read_results(SCRIPT.parents[1] / "benchmarks" / "results" / "usc_had")
    assert {line["fingerprint"] for line in kept} == {KEPT}
    assert of_plan(plan, windows.x, windows.trial, windows.start) == KEPT


def test_the_kept_results_give_the_kept_figures_and_the_table_of_the_document(tmp_path: Path) -> None:
    root = SCRIPT.parents[1]
    kept = root / "docs" / "explanation" / "sweep"
    results = read_results(root / "benchmarks" / "results" / "usc_had")
    write_sweep_report(results, tmp_path, planned=STRENGTHS)
    assert (tmp_path / "claims.md").read_text() == (kept / "claims.md").read_text()
    assert {file.name for file in kept.iterdir()} == {file.name for file in tmp_path.iterdir()}
    at_strength_one = (kept / "claims.md").read_text().split("\n\n")[0]
    assert at_strength_one in (root / "docs" / "explanation" / "censoring.md").read_text()
