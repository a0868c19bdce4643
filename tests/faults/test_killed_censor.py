"""SIGKILL in the middle of keshi censor: --resume goes on to the same release."""

from __future__ import annotations

import json
import signal
from typing import Any

CENSOR = (
    "censor", "recordings.csv", "--label", "activity", "--subject", "person", "--window", 10, "--method", "sct",
    "--rounds", 2, "--quick", "--no-suite", "-o",
)  # fmt: skip
SHORT: dict[str, Any] = {
    "at": "keshi.censoring.schedules:SCHEDULES",
    "do": "fields",
    "fields": {"pretrain_epochs": 2, "iterations": 2, "batch_size": 16},
}
SAVED = "keshi.censoring.checkpoints:TrainingState.save"


def test_a_censor_that_is_killed_twice_goes_on_to_the_release_of_one_that_was_not(recordings) -> None:
    people = recordings
    people.finishes(*CENSOR, "whole", faults=[SHORT])
    first = {"at": SAVED, "when": "after", "nth": 1, "do": "kill"}  # an epoch of two is done
    ended = people.run(*CENSOR, "cut", faults=[SHORT, first])
    assert ended.status == -signal.SIGKILL, ended.said
    # Two epochs and a round are saved, the next is not.
    second = {"at": SAVED, "when": "before", "nth": 3, "do": "kill"}
    ended = people.run(*CENSOR, "cut", "--resume", faults=[SHORT, second])
    assert ended.status == -signal.SIGKILL, ended.said
    assert not (people.folder / "cut").exists()
    ended = people.run(*CENSOR, "cut", faults=[SHORT])
    assert ended.status == 2
    assert "cut.checkpoint holds an interrupted training: add --resume to go on with it" in ended.said
    said = people.finishes(*CENSOR, "cut", "--resume", faults=[SHORT])
    assert "label training, epoch" not in said
    assert "round 2 of 2" in said.split("the control")[0]
    assert "round 1 of 2" not in said.split("the control")[0]
    for name in ("encoder.safetensors", "manifest.json", "learning_curve.json"):
        one, other = (people.folder / run / "release" / name for run in ("cut", "whole"))
        assert one.read_bytes() == other.read_bytes()
    cut, whole = (
        json.loads((people.folder / run / "private" / "audit.json").read_text()) for run in ("cut", "whole")
    )
    assert (cut["before"], cut["after"], cut["control"]) == (
        whole["before"],
        whole["after"],
        whole["control"],
    )
    assert not (people.folder / "cut.checkpoint").exists()
