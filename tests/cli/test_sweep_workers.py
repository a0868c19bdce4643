"""Cells in processes of their own: the same points as in one, whatever happens to a process on the way.

A process takes seconds to start, so one story has all of it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from keshi.censoring.checkpoints import ROUNDS_FILE
from keshi.censoring.training import Schedule
from keshi.cli.censor_sweep import Cell, SweepPlan, read_results, run_sweep
from keshi.records.windows import Windows

PLAN = SweepPlan(
    Schedule(pretrain_epochs=1, pretrain_rate=1e-3, rounds=2, iterations=2, batch_size=32, encoder_rate=1e-3),
    split="trials",
    attack_hidden=(4,),
    attack_every=2,
    attack_epochs=1,
    full_rounds=(2,),
    full_epochs=1,
    checkpoint_every=1,
)
CELLS = [Cell("cnn", 0.0, 0), Cell("sct", 1.0, 0), Cell("sct", 0.0, 0)]


def simulated_windows() -> Windows:
    rng = np.random.default_rng(0)
    person, label, trial = (a.ravel() for a in np.meshgrid(range(4), range(2), range(3)))
    x = rng.normal(size=(len(person) * 4, 1, 10)) + np.repeat(person + 2 * label, 4)[:, None, None]
    return Windows(
        x.astype(np.float32),
        np.repeat(label, 4),
        np.repeat([f"person {p}" for p in person], 4),
        np.repeat(np.arange(len(person)), 4),
        np.tile(np.arange(4) * 10, len(person)),
    )


def without_times(results: list[dict]) -> dict[str, dict]:
    """By cell: workers finish in any order."""
    found = {}
    for line in json.loads(json.dumps(results)):
        line.pop("cpu_seconds")
        line["points"] = [{k: v for k, v in p.items() if "seconds" not in k} for p in line["points"]]
        found[Cell(**line["cell"]).name] = line
    return found


def test_cells_in_processes_give_the_points_of_one_process_though_one_of_them_is_killed_and_one_fails(
    tmp_path: Path,
) -> None:
    windows, folder = simulated_windows(), tmp_path / "sweep"
    expected = run_sweep(windows, tmp_path / "one", CELLS, PLAN)
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if line.startswith("sct-1-seed0: round 1"):
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGKILL)

    # The second cell starts when the first has trained the plain network, and while that is still being measured.
    with pytest.raises(ChildProcessError, match=r"sct-\d-seed0 was killed by signal 9.*start the sweep again"):
        run_sweep(windows, folder, CELLS, PLAN, jobs=5, progress=kill)
    assert said[0] == "cell 1: cnn-0-seed0"
    assert said[1].startswith("cnn-0-seed0: ")
    assert sum("epoch 1" in line for line in said) == 1  # one training of the network that all start from
    assert not multiprocessing.active_children()
    checkpoint = folder / "work" / "sct-1-seed0" / ROUNDS_FILE
    whole = checkpoint.read_bytes()

    checkpoint.write_bytes(b"damaged")
    with pytest.raises(ChildProcessError, match="sct-1-seed0 failed: ArtifactError: "):
        run_sweep(windows, folder, CELLS[1:2], PLAN, jobs=2)
    checkpoint.write_bytes(whole)

    resumed: list[str] = []
    found = run_sweep(windows, folder, CELLS, PLAN, jobs=2, progress=resumed.append)
    assert not any("sct-1-seed0: round 1" in line or "epoch 1" in line for line in resumed)
    assert without_times(found) == without_times(expected)
    assert read_results(folder) == found
    assert not any((folder / "work").iterdir())


def test_fewer_than_one_job_is_refused(tmp_path: Path) -> None:
    for jobs in (0, -1):
        with pytest.raises(ValueError, match=r"jobs \(--jobs\) must be a whole number of at least 1"):
            run_sweep(simulated_windows(), tmp_path / "none", CELLS, PLAN, jobs=jobs)
    assert not (tmp_path / "none").exists()
