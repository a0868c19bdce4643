from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keshi.auditing import identification
from keshi.censoring.methods import GAMES
from keshi.censoring.training import Schedule
from keshi.cli.censor_sweep import CONTROLS, Cell, SweepPlan, read_results, run_sweep, sweep_cells
from keshi.errors import ArtifactError
from keshi.records.windows import Recording, Windows, segment
from keshi.reports.sweep import claims_table, write_sweep_report

PLAN = SweepPlan(
    Schedule(pretrain_epochs=1, pretrain_rate=1e-3, rounds=3, iterations=3, batch_size=32, encoder_rate=1e-3),
    split="blocked",
    attack_hidden=(8,),
    attack_every=2,
    attack_rows=60,
    attack_epochs=1,
    full_rounds=(2,),
    full_epochs=40,
    checkpoint_every=1,
)
CELLS = [Cell("cnn", 0.0, 0), Cell("sct", 1.0, 0), Cell("sct", 0.0, 0)]


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker's epoch is one pass over the few rows here."""
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)


def simulated_windows() -> Windows:
    rng, time = np.random.default_rng(0), np.arange(60)
    recordings = [
        Recording(
            np.stack([np.sin((1 + label) * 0.8 * time), np.full(60, 2.0 * person)], axis=1)
            + rng.normal(size=(60, 2)) * 0.3,
            ["slow", "fast"][label],
            person,
            trial,
        )
        for person in range(4)
        for label in range(2)
        for trial in range(2)
    ]
    return segment(recordings, window=10, stride=5)


def without_times(results: list[dict]) -> list[dict]:
    text = json.dumps(results)
    found = json.loads(text)
    for line in found:
        line.pop("cpu_seconds")
        line["points"] = [{k: v for k, v in p.items() if "seconds" not in k} for p in line["points"]]
    return found


def test_every_method_with_an_adversary_has_a_control() -> None:
    assert set(CONTROLS) == set(GAMES) - {"cnn"}


def test_a_sweep_killed_in_a_round_or_between_cells_goes_on_to_the_same_results(tmp_path: Path) -> None:
    windows = simulated_windows()
    whole = run_sweep(windows, tmp_path / "whole", CELLS, PLAN)
    assert [line["cell"]["method"] for line in whole] == ["cnn", "sct", "sct"]
    assert [p["round"] for p in whole[1]["points"] if "attacker" in p] == [2, 3]  # every second, and the last
    assert all("f1_known" in point for point in whole[1]["points"])
    # One kill each: in the training for the label, in the second round of a cell, before the last cell.
    for moment in ("epoch 1", "round 2", "cell 3"):

        def kill(line: str, moment: str = moment) -> None:
            if moment in line:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_sweep(windows, tmp_path / "cut", CELLS, PLAN, progress=kill)
    resumed: list[str] = []
    again = run_sweep(windows, tmp_path / "cut", CELLS, PLAN, progress=resumed.append)
    assert without_times(again) == without_times(whole)
    assert [line for line in resumed if line.startswith("cell")] == ["cell 3: sct-0-seed0"]
    assert read_results(tmp_path / "cut") == again
    assert not any((tmp_path / "cut" / "work").iterdir())
    assert {"sct-1-seed0-round2", "sct-1-seed0-round3"} <= {
        p.name for p in (tmp_path / "cut/encoders").iterdir()
    }

    with pytest.raises(ArtifactError, match="cells of another plan or of other windows"):
        run_sweep(windows, tmp_path / "cut", CELLS, replace(PLAN, split="random"))
    assert run_sweep(windows, tmp_path / "cut", CELLS[:1], PLAN) == again

    # Killed before its first line, a sweep already has an encoder: no other plan may take it for its own.
    (tmp_path / "cut" / "results.jsonl").unlink()
    with pytest.raises(ArtifactError, match="cells of another plan or of other windows"):
        run_sweep(windows, tmp_path / "cut", CELLS, replace(PLAN, unknown=(0,)))

    written = write_sweep_report(again, tmp_path / "figures")
    assert {file.name for file in written} == {
        "trade_off_known.svg", "trade_off_unknown.svg", "trade_off_known_full.svg", "trade_off_unknown_full.svg",
        "learning_attacker.svg", "learning_f1_known.svg", "learning_f1_unknown.svg", "claims.md", "claims.json",
    }  # fmt: skip
    assert (tmp_path / "figures" / "trade_off_known.svg").read_text().startswith("<svg xmlns=")
    controls = again[0]["controls"]
    assert controls["raw_window"] > controls["majority"]
    assert "softmax only" in claims_table(again)


def test_folders_of_one_sweep_are_read_together_and_what_another_machine_did_is_not_done_again(
    tmp_path: Path,
) -> None:
    windows, short = simulated_windows(), replace(PLAN, full_epochs=1)
    first = run_sweep(windows, tmp_path / "here", CELLS[:1], short)
    other = run_sweep(windows, tmp_path / "there", [CELLS[0], CELLS[2]], short)
    said: list[str] = []
    also = [tmp_path / "there"]
    found = run_sweep(
        windows, tmp_path / "here", [CELLS[0], CELLS[2]], short, also=also, progress=said.append
    )
    assert said == []
    assert found == [first[0], other[1]] == read_results(tmp_path / "here", tmp_path / "there")
    assert read_results(tmp_path / "here") == first

    run_sweep(windows, tmp_path / "strange", CELLS[:1], replace(short, held_out=0.2))
    with pytest.raises(ArtifactError, match=r"other windows than .*here; draw them apart"):
        read_results(tmp_path / "here", tmp_path / "strange")
    with pytest.raises(ArtifactError, match=r"strange: cells of another plan .* leave them out"):
        run_sweep(windows, tmp_path / "here", CELLS, short, also=[tmp_path / "strange"])
    with pytest.raises(ArtifactError, match=r"no results.jsonl of a sweep in .*mistyped"):
        run_sweep(windows, tmp_path / "here", CELLS, short, also=[tmp_path / "mistyped"])


def test_the_same_windows_with_other_labels_or_people_are_another_sweep(tmp_path: Path) -> None:
    windows, short = simulated_windows(), replace(PLAN, full_epochs=1)
    first = run_sweep(windows, tmp_path / "sweep", CELLS[:1], short)
    other_label = replace(windows, label=np.where(windows.trial % 3 == 0, "slow", "fast"))
    other_people = replace(windows, subject=windows.subject[::-1].copy())
    for other in (other_label, other_people):
        with pytest.raises(ArtifactError, match="of other windows, labels or people; choose another folder"):
            run_sweep(other, tmp_path / "sweep", CELLS[:1], short)

    # a folder of an older version has no mark of labels; it is gone on with
    results, plan = tmp_path / "sweep" / "results.jsonl", tmp_path / "sweep" / "plan.json"
    for file in (results, plan):
        old = json.loads(file.read_text())
        del old["labelled"]
        file.write_text(json.dumps(old) + ("\n" if file == results else ""))
    again = run_sweep(windows, tmp_path / "sweep", CELLS[:1], short)
    assert [line["points"] for line in again] == [line["points"] for line in first]


def test_fewer_than_one_job_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for jobs in (0, -1):
        with pytest.raises(ValueError, match=r"jobs \(--jobs\) must be a whole number of at least 1"):
            run_sweep(simulated_windows(), tmp_path / "none", CELLS, PLAN, jobs=jobs)
    assert not (tmp_path / "none").exists()


def test_the_paper_s_sweep_has_its_cells_once_each_and_the_informative_ones_first() -> None:
    cells = sweep_cells(further_seeds=(1, 2))
    assert len(cells) == len(set(cells)) == 1 + 4 * 7 + 3 + 2 * (1 + 4 + 3)
    assert [c.name for c in cells[:6]] == [
        "cnn-0-seed0", "sct-1-seed0", "sct-0-seed0", "lsm-1-seed0", "afl-dnn-1-seed0", "afl-mlp-1-seed0",
    ]  # fmt: skip
