"""keshi censor, interrupted after every single step: it goes on to the output of a run that was not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keshi.auditing import identification
from keshi.censoring import censor as censor_module
from keshi.censoring import checkpoints, schedules
from keshi.cli import censor_figures, censor_run
from keshi.cli.censor import censor
from keshi.errors import ArtifactError

app = typer.Typer()
app.command()(censor)
COLUMNS = ("--label", "activity", "--subject", "person", "--window", "10", "--no-suite")
STEPS = [(of, file, n) for of in ("censored", "control") for file in ("epochs", "rounds") for n in (1, 2)]


class Killed(BaseException):
    """As far as a process can be killed without ending it: nothing handles this."""


@pytest.fixture(autouse=True)
def short_and_with_a_known_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("robust", "paper"):
        short = replace(
            schedules.SCHEDULES[name], pretrain_epochs=2, pretrain_rate=1e-3, rounds=2, iterations=4
        )
        monkeypatch.setitem(schedules.SCHEDULES, name, short)
    monkeypatch.setattr(censor_run, "ATTACK_EPOCHS", 1)
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)
    for module in (censor_module, checkpoints):  # two runs never have the same noise otherwise
        monkeypatch.setattr(module, "draw_key", lambda: b"k" * checkpoints.KEY_BYTES)


@pytest.fixture
def people_csv(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["person,activity,ax,ay"]
    for person in ("Ann", "Bob", "Cyd", "Dee"):
        for activity in ("run", "walk"):
            lines += [f"{person},{activity},{a:.3f},{b:.3f}" for a, b in rng.normal(size=(60, 2))]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[tuple[str, str, int]]]:
    """Ask for a kill after so many saves from now on; what was saved, over all starts."""
    save, saved, left = checkpoints.TrainingState.save, [], [0]

    def one(state: checkpoints.TrainingState, where: checkpoints.Checkpoint) -> None:
        save(state, where)
        saved.append((where.folder.name, where.file.stem, len(state.curve)))
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def ask(saves: int) -> list[tuple[str, str, int]]:
        left[0] = saves
        return saved

    monkeypatch.setattr(checkpoints.TrainingState, "save", one)
    return ask


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def contents(run_folder: Path) -> dict[str, Any]:
    """Every file of a run, its audit without times."""
    found: dict[str, Any] = {
        file.relative_to(run_folder).as_posix(): file.read_bytes()
        for file in run_folder.rglob("*")
        if file.is_file()
    }
    audit = json.loads(found["private/audit.json"])
    audit.pop("cpu_seconds")
    for record in audit["learning_curve"]:
        record.pop("seconds")
    return {**found, "private/audit.json": audit}


def test_a_run_that_is_killed_after_every_step_ends_with_the_output_of_one_that_was_not(
    people_csv: Path, tmp_path: Path, killed_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(people_csv, *COLUMNS, "-o", tmp_path / "whole")
    saved = killed_after(0)
    assert saved == STEPS
    saved.clear()
    cut, kept = tmp_path / "cut", tmp_path / "cut.checkpoint"
    again: tuple[str, ...] = ()
    for _ in STEPS:
        killed_after(1)
        with pytest.raises(Killed):
            run(people_csv, *COLUMNS, "-o", cut, *again)
        assert not cut.exists()
        again = ("--resume",)
    killed_after(0)
    with monkeypatch.context() as patch:  # all is trained; killed before anything is measured, and again
        patch.setattr(censor_figures.Measurement, "of", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            run(people_csv, *COLUMNS, "-o", cut, *again)
    assert kept.stat().st_mode & 0o077 == 0  # the key of the noise and the adversary are the owner's
    said = run(people_csv, *COLUMNS, "-o", cut, *again).stderr
    assert said.count("going on from the checkpoint: 2 of 2 rounds are done") == 2
    assert saved == STEPS  # nothing was trained twice
    assert contents(cut) == contents(tmp_path / "whole")
    assert not kept.exists()
    assert not (tmp_path / "whole.checkpoint").exists()


def test_what_differs_from_the_interrupted_training_is_named(
    people_csv: Path, tmp_path: Path, killed_after: Any
) -> None:
    out, text = tmp_path / "run", people_csv.read_text()
    command = (people_csv, *COLUMNS, "--no-control", "-o", out)
    with pytest.raises(
        ArtifactError, match=r"run.checkpoint holds no interrupted training; leave --resume out"
    ):
        run(*command, "--resume")
    saved = killed_after(3)
    with pytest.raises(Killed):
        run(*command)
    with pytest.raises(ArtifactError, match=r"run.checkpoint holds an interrupted training: add --resume"):
        run(*command)
    for options, named in (
        (("--strength", 2, "--seed", 1), r"seed \(0 there, 1 here\), strength \(1.0 there, 2.0 here\)"),
        (("--rounds", 5), r"rounds \(2 there, 5 here\)"),
        (("--control",), r"control \(False there, True here\)"),
        (("--unknown", "Ann"), r"unknown \(None there, \['Ann'\] here\)"),
    ):
        with pytest.raises(ArtifactError, match=rf"holds a training with other {named}\. Give it"):
            run(*command, "--resume", *options)
    for old, new, named in (
        ("Ann,run", "Ann,hop", "labels"),
        ("Bob", "Zoe", "people"),
        ("walk", "stroll", "labels"),  # in the same order: the numbers that are trained on stay as they were
        (text.splitlines()[1], "Ann,run,9,9", "windows"),
    ):
        people_csv.write_text(text.replace(old, new))
        with pytest.raises(ArtifactError, match=rf"holds a training with other {named}\. Give it"):
            run(*command, "--resume")
    people_csv.write_text(text)
    killed_after(0)
    run(*command, "--resume")
    assert [step[1:] for step in saved if step[0] == "censored"] == [
        ("epochs", 1), ("epochs", 2), ("rounds", 1), ("rounds", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["thesis.txt", "training.json", "film.mp4.partial"])
def test_a_place_that_is_not_keshi_s_is_left_alone(name: str, people_csv: Path, tmp_path: Path) -> None:
    place = tmp_path / "run.checkpoint"
    place.mkdir()
    (place / name).write_text('{"precious": 1}')
    for resume in ((), ("--resume",)):
        with pytest.raises(ArtifactError, match="was not written by keshi"):
            run(people_csv, *COLUMNS, "-o", tmp_path / "run", *resume)
    assert (place / name).read_text() == '{"precious": 1}'


def test_a_search_under_a_budget_goes_on_by_itself_and_a_resume_of_none_is_refused(
    people_csv: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"run.sweep holds no interrupted search; leave --resume out"):
        run(people_csv, *COLUMNS[:-1], "--max-leak", 0.5, "--resume", "-o", tmp_path / "run")
