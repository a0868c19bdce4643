"""SIGKILL in the middle of keshi sweep, again and again: started once more it goes on, to the same results.

With --jobs, too, whichever process is killed. That the output of a command ends, for which the tests wait, says that
none of its processes lives on.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

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
        "do": "defaults",
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


# Workers that start at once, with the faults of their parent; the first kill below is of one that starts as for users.
FORKED = {"at": "keshi.cli.sweep_workers:_context", "do": "set", "options": {"method": "fork"}}
SAY = "keshi.cli.sweep:_say"


def without_times(file: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line.pop("cpu_seconds")
        line["points"] = [{k: v for k, v in one.items() if "seconds" not in k} for one in line["points"]]
    return lines


def cells_of(file: Path) -> dict[str, dict[str, Any]]:
    """Without times and by cell: workers finish in any order."""
    return {json.dumps(line["cell"]): line for line in without_times(file)} if file.exists() else {}


def test_a_sweep_that_is_killed_five_times_ends_with_the_results_of_one_that_was_not(recordings) -> None:
    people = recordings
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


def test_a_sweep_in_processes_that_are_killed_fail_and_are_interrupted_ends_with_the_points_of_one_process(
    recordings,
) -> None:
    people, cut = recordings, (*SWEEP, "cut", "--jobs", 2)
    results = people.folder / "cut" / "results.jsonl"
    people.finishes(*SWEEP, "whole", faults=SHORT)

    # The parent dies when its first worker, started as for users, has trained the plain network, and measures.
    ended = people.run(*cut, faults=[*SHORT, {"at": SAY, "when": "after", "nth": 4, "do": "kill"}])
    assert ended.status == -signal.SIGKILL, ended.said
    assert ended.said.count("cnn-0-seed0: label training, epoch") == 2
    assert ended.said.endswith("cell 2: sct-1-seed0\n")

    # A worker dies right after its first checkpoint.
    short = [*SHORT, FORKED]
    ended = people.run(*cut, faults=[*short, {"at": SAVED, "when": "after", "nth": 1, "do": "kill"}])
    assert ended.status == 2, ended.said
    assert "Traceback" not in ended.said
    found = re.search(
        r"the process of (sct-\d-seed0) was killed by signal 9; where memory is short", ended.said
    )
    assert found, ended.said
    assert (people.folder / "cut" / "work" / found[1] / "rounds.safetensors").exists()

    # A worker fails with a message for the user, and another time Ctrl-C comes.
    ended = people.run(*cut, faults=[*short, {"at": SAVED, "when": "before", "do": "full"}])
    assert ended.status == 2, ended.said
    assert " failed: OSError: [Errno 27]" in ended.said
    ended = people.run(*cut, faults=[*short, {"at": SAY, "when": "after", "nth": 2, "do": "interrupt"}])
    assert ended.status == 130, ended.said
    assert people.hidden() == []

    said = people.finishes(*cut, faults=short)
    assert "label training" not in said
    assert f"{found[1]}: round 2 of 3" in said
    assert f"{found[1]}: round 1 of 3" not in said
    assert cells_of(results) == cells_of(people.folder / "whole" / "results.jsonl")
    assert not any((people.folder / "cut" / "work").iterdir())


def test_of_two_sweeps_in_one_folder_the_second_is_refused_and_the_first_goes_on(recordings) -> None:
    people = recordings
    here, go = (str(people.folder / name) for name in ("first is at work", "go"))
    pause = {"at": KEPT, "when": "before", "do": "meet", "here": here, "others": [go]}
    first = people.start(*SWEEP, "same", faults=[*SHORT, pause])
    meet = {
        "at": "keshi.artifacts.locks:alone_in",
        "when": "before",
        "do": "meet",
        "here": go + "?",
        "others": [here],
    }
    said = people.refuses(*SWEEP, "same", faults=[*SHORT, meet])
    assert "another sweep is at work in same" in said
    Path(go).touch()
    assert people.wait(first).status == 0
    assert len(cells_of(people.folder / "same" / "results.jsonl")) == 3
