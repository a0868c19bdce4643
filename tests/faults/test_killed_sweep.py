"""SIGKILL in the middle of keshi sweep, again and again: started once more it goes on, to the same results."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np

SWEEP = (
    "sweep", "recordings.csv", "--label", "activity", "--subject", "person", "--window", 10, "--split", "blocked",
    "--methods", "sct", "--strengths", 1, "--rounds", 3, "--quick", "-o",
)  # fmt: skip
# A training of seconds, a checkpoint every round, and attackers that are not what is tested here.
SHORT: list[dict[str, Any]] = [
    {
        "at": "keshi.censoring.schedules:SCHEDULES",
        "do": "fields",
        "fields": {"pretrain_epochs": 2, "iterations": 2, "batch_size": 16},
    },
    {
        "at": "keshi.cli.censor_sweep:SweepPlan",
        "do": "set",
        "options": {"checkpoint_every": 1, "attack_hidden": [4], "attack_epochs": 1, "full_epochs": 1},
    },
]
SAVED, KEPT = "keshi.censoring.checkpoints:TrainingState.save", "keshi.cli.sweep_cell:_keep"
DURABLY = "keshi.artifacts.atomic:_write_durably"

# where each start is killed, and how many cells are in results.jsonl then
KILLS = [
    ({"at": KEPT, "when": "before", "nth": 1}, 0),  # the plain network is trained, and not kept
    (
        {"at": SAVED, "when": "after", "nth": 1},
        1,
    ),  # one round of three is in the checkpoint of the second cell
    ({"at": SAVED, "when": "before", "nth": 2}, 1),  # two are, and the last is done
    ({"at": DURABLY, "when": "half", "nth": 1}, 1),  # its checkpoint is half written
    (
        {"at": SAVED, "when": "after", "nth": 3},
        2,
    ),  # the second cell is written, and two rounds of the last are done
]


def without_times(file: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line.pop("cpu_seconds")
        line["points"] = [{k: v for k, v in one.items() if "seconds" not in k} for one in line["points"]]
    return lines


def test_a_sweep_that_is_killed_five_times_ends_with_the_results_of_one_that_was_not(people) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{person},{activity},{value:.3f}"
        for person in "ABCD"
        for activity in ("walk", "run")
        for value in rng.normal(size=60)
    ]
    (people.folder / "recordings.csv").write_text("\n".join(["person,activity,ax", *rows, ""]))
    people.finishes(*SWEEP, "whole", faults=SHORT)
    results = people.folder / "cut" / "results.jsonl"
    for where, cells in KILLS:
        ended = people.run(*SWEEP, "cut", faults=[*SHORT, {"do": "kill", **where}])
        assert ended.status == -signal.SIGKILL, ended.said
        assert len(without_times(results) if results.exists() else []) == cells, where
    said = people.finishes(*SWEEP, "cut", faults=SHORT)
    assert "cell 3: sct-0-seed0" in said
    assert "cell 2" not in said
    assert said.count("round ") == 1  # the last of three: nothing is trained twice
    assert without_times(results) == without_times(people.folder / "whole" / "results.jsonl")
    assert not any((people.folder / "cut" / "work").iterdir())
