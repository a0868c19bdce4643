from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keshi.auditing import identification
from keshi.censoring import training
from keshi.censoring.certified import CertifiedEncoder
from keshi.censoring.encoded import CensoredEncoder
from keshi.cli import censor_budget, censor_figures, censor_run
from keshi.cli.censor import censor
from keshi.errors import ArtifactError, DomainError, KeshiError, RecordsError

app = typer.Typer()
app.command()(censor)


@pytest.fixture(autouse=True)
def short_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("paper", "quick", "robust", "robust-quick"):
        short = replace(
            training.SCHEDULES[name], pretrain_epochs=2, pretrain_rate=1e-3, rounds=2, iterations=4
        )
        monkeypatch.setitem(training.SCHEDULES, name, short)
    monkeypatch.setattr(censor_run, "ATTACK_EPOCHS", 1)
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)
    monkeypatch.setattr(censor_figures, "TREES", 2)


@pytest.fixture
def people_csv(tmp_path: Path) -> Path:
    """Five people, two activities, one recording of 80 samples each; the person is an offset of ay."""
    rng = np.random.default_rng(0)
    lines = ["person,activity,ax,ay"]
    for person in ("Ann", "Bob", "Cyd", "Dee", "Eve"):
        for speed, activity in enumerate(("walk", "run")):
            for t in range(80):
                ax, ay = np.sin((1 + speed) * 0.7 * t) + rng.normal() * 0.1, ord(person[0]) + rng.normal()
                lines.append(f"{person},{activity},{ax:.4f},{ay:.4f}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: object) -> object:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


COLUMNS = ("--label", "activity", "--subject", "person", "--window", "10")


def test_a_run_prints_its_figures_and_writes_two_folders(people_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(people_csv, *COLUMNS, "--method", "scl", "--unknown", "Dee, Eve", "--no-suite", "-o", out)
    lines = result.stdout.splitlines()  # type: ignore[attr-defined]
    assert result.exit_code == 0  # type: ignore[attr-defined]
    assert 6 <= len(lines) <= 9
    assert lines[0].split() == ["sct,", "strength", "1,", "2", "rounds", "before", "after", "control"]
    assert any(line.startswith("label F1, known people") for line in lines)
    assert any(
        line.startswith("blind guess (majority) 0.333; from the true label alone 0.333") for line in lines
    )
    assert lines[-1].startswith("No worst-case guarantee")
    assert "round 2 of 2" in result.stderr  # type: ignore[attr-defined]
    assert "Next: keshi inspect" in result.stderr  # type: ignore[attr-defined]

    encoder = CensoredEncoder.load(out / "release")
    assert encoder.labels == ("run", "walk")
    audit = json.loads((out / "private" / "audit.json").read_text())
    assert audit["unknown_people"] == ["Dee", "Eve"]
    assert 0 <= audit["after"]["attacker"]["accuracy"] <= 1
    assert len(audit["learning_curve"]) == 2


def test_every_attacker_and_every_control_stands_beside_the_features(
    people_csv: Path, tmp_path: Path
) -> None:
    more = people_csv.read_text().splitlines()
    more += [line.replace(",run,", f",{new},") for new in ("hop", "row") for line in more if ",run," in line]
    # a sensor on the left turns ax round; a height is the same in all rows of a person
    named = [f"{more[0]},worn,height"]
    for number, line in enumerate(more[1:]):
        person, activity, ax, ay = line.split(",")
        side = "left" if number % 80 < 40 else "right"
        named.append(f"{person},{activity},{float(ax) + 5 * (side == 'left')},{ay},{side},1.{ord(person[0])}")
    people_csv.write_text("\n".join(named) + "\n")
    out = tmp_path / "run"
    result = run(
        people_csv,
        *COLUMNS,
        "--leave-out",
        "hop,row",
        "--unknown",
        "Dee,Eve",
        "--use",
        "worn,height",
        "-o",
        out,
    )
    text = result.stdout  # type: ignore[attr-defined]
    assert text.startswith("maxent, strength 1, 2 rounds")
    for attacker in ("linear", "15 nearest", "boosted trees", "sensor offset", "noise aware"):
        assert f"\n  {attacker} " in text
    assert "left-out labels, F1 of a probe" in text
    assert "\nuse worn, macro-F1, unknown " in text
    assert "\nBeyond the label the features serve " in text
    assert "height is the same in all windows of a person" in text
    audit = json.loads((out / "private" / "audit.json").read_text())
    assert audit["left_out_labels"] == ["hop", "row"]
    assert audit["uses_without_features"]["raw window"]["worn"]["unknown"]["score"] > 0.9
    assert (
        set(audit["after"]["uses"])
        == set(audit["uses_without_features"]["softmax only"])
        == {"worn", "height"}
    )
    assert encoder_saw_two_channels(out)
    assert set(audit["without_features"]) == {
        "majority", "true label only", "predicted label only", "softmax only", "raw window"
    }  # fmt: skip
    assert audit["before"]["attackers"]["linear"]["accuracy"] <= 1
    encoder = CensoredEncoder.load(out / "release")
    assert (encoder.labels, encoder.features, encoder.noise) == (("run", "walk"), 16, 0.3)
    worst = max(
        one["accuracy"] for one in [audit["after"]["attacker"], *audit["after"]["attackers"].values()]
    )
    found = min(audit["without_features"][name] for name in ("softmax only", "predicted label only"))
    assert ("If the label is all that is wanted" in text) == (found <= worst)


def encoder_saw_two_channels(out: Path) -> bool:
    """Whether what is only to be measured stayed out of the training."""
    return CensoredEncoder.load(out / "release").channels == 2


def test_a_label_to_leave_out_that_is_not_there_is_refused(people_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="labels to leave out \\['swim'\\] do not occur"):
        run(people_csv, *COLUMNS, "--leave-out", "swim", "-o", tmp_path / "run")


@pytest.mark.parametrize("option", ["leave-out", "use"])
def test_a_list_that_names_nothing_is_refused(option: str, people_csv: Path, tmp_path: Path) -> None:
    for text in ("", " , "):
        with pytest.raises(
            ValueError, match=rf"{option} \(--{option}\) must name at least one, .* got '{text}'"
        ):
            run(people_csv, *COLUMNS, f"--{option}", text, "-o", tmp_path / "run")


def test_labels_with_too_few_recordings_for_the_probe_are_named_before_the_training(
    people_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(censor_run, "Measurement", lambda *_, **__: pytest.fail("trained"))
    lines = people_csv.read_text().splitlines()
    of_ann = [line for line in lines if line.startswith("Ann,run")]
    lines += [line.replace("run", "hop") for line in of_ann] + [line.replace("run", "row") for line in of_ann]
    people_csv.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        DomainError, match=r"too little of 'hop' \(15 windows in 1 recordings\), 'row' .*--leave-out"
    ):
        run(people_csv, *COLUMNS, "--leave-out", "hop,row", "-o", tmp_path / "run")


def test_the_release_names_nobody_and_holds_no_measured_figure(people_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(people_csv, *COLUMNS, "--no-control", "--no-suite", "-o", out)
    everything = b"".join(file.read_bytes() for file in (out / "release").iterdir())
    for secret in (b"Ann", b"Bob", b"Cyd", b"Dee", b"Eve", b"f1_", b"accuracy", b"measures"):
        assert secret not in everything
    curve = json.loads((out / "release" / "learning_curve.json").read_text())
    assert [row["round"] for row in curve] == [1, 2]
    assert all(float(f"{value:.3g}") == value for row in curve for value in row.values())


def test_json_is_the_audit_and_nothing_else_on_stdout(people_csv: Path, tmp_path: Path) -> None:
    result = run(
        people_csv, *COLUMNS, "--json", "--method", "cnn", "--quick", "--no-suite", "-o", tmp_path / "run"
    )
    audit = json.loads(result.stdout)  # type: ignore[attr-defined]
    assert audit == json.loads((tmp_path / "run" / "private" / "audit.json").read_text())
    assert audit["before"] == audit["after"]
    assert audit["control"] is None


def test_a_release_with_noise_prints_what_is_proven_beside_what_is_measured(
    people_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = run(people_csv, *COLUMNS, "--method", "cnn", "--noise", 2, "--no-suite", "-o", out)
    text = result.stdout  # type: ignore[attr-defined]
    assert "with noise of 2 clipping norms: label F1" in text
    assert "proven: From one window no attacker names the person more often than" in text
    # recordings of 80 samples, windows of 10 every 5, a tenth held out
    assert "proven: From 2 windows of one trial no attacker" in text
    assert "proven: From 15 windows of one trial no attacker" in text  # the whole recording
    encoder = CertifiedEncoder.load(out / "release")
    audit = json.loads((out / "private" / "audit.json").read_text())["certified"]
    assert (encoder.norm, encoder.noise) == (audit["norm"], 2.0)
    assert audit["window"]["guess"] == pytest.approx(1 / 3)
    assert (audit["trial"]["windows"], audit["recording"]["windows"]) == (2, 15)
    # Phi(Phi^-1(1/3) + 1/2)
    assert audit["window"]["accuracy"] == pytest.approx(0.528, abs=0.001)
    x = np.zeros((2, 2, 10), dtype=np.float32)
    assert not np.array_equal(encoder.transform(x), encoder.transform(x))
    run(people_csv, *COLUMNS, "--method", "cnn", "--no-suite", "-o", tmp_path / "plain")
    with pytest.raises(ArtifactError, match="released without noise"):
        CertifiedEncoder.load(tmp_path / "plain" / "release")
    with pytest.raises(ValueError, match=r"noise \(--noise\) must be a finite number above 0, got 0"):
        run(people_csv, *COLUMNS, "--noise", 0, "-o", tmp_path / "none")


@pytest.mark.parametrize("noise", [1e-9, 1e12])
def test_noise_that_cannot_be_certified_is_refused_before_the_training(
    noise: float, people_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keshi.censoring.censor.Censor.fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=r"noise \(--noise\) must lie between 6.1e-05 and 1.1e\+09 clipping"):
        run(people_csv, *COLUMNS, "--noise", noise, "-o", tmp_path / "run")


def test_an_export_that_cannot_be_is_refused_before_the_training(
    people_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    monkeypatch.setattr(censor_run, "run_censoring", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(KeshiError, match=r"needs the package onnx: pip install 'keshi\[onnx\]'"):
        run(people_csv, *COLUMNS, "--onnx", "-o", tmp_path / "run")


def test_the_encoder_is_exported_where_asked_for(people_csv: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run(people_csv, *COLUMNS, "--method", "cnn", "--no-suite", "--onnx", "-o", tmp_path / "run")
    assert (tmp_path / "run" / "release" / "encoder.onnx").stat().st_size > 1000


def test_a_budget_is_kept_or_refused_with_exit_status_1(
    people_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(censor_budget, "SUITE", ("linear",))
    monkeypatch.setattr(censor_budget.strength_under_budget, "__kwdefaults__", {
        **censor_budget.strength_under_budget.__kwdefaults__, "strengths": (1.0,), "hidden": (4,), "attack_epochs": 1,
    })  # fmt: skip
    result = run(people_csv, *COLUMNS, "--max-leak", 0.01, "-o", tmp_path / "run")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "refused: at most 0.01 was asked for" in result.stdout  # type: ignore[attr-defined]
    result = run(people_csv, *COLUMNS, "--max-leak", 0.01, "--json", "-o", tmp_path / "run")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert json.loads(result.stdout)["chosen"] is None  # type: ignore[attr-defined]
    assert not (tmp_path / "run").exists()
    result = run(people_csv, *COLUMNS, "--max-leak", 0.999, "-o", tmp_path / "run")
    assert result.exit_code == 0  # type: ignore[attr-defined]
    assert CensoredEncoder.load(tmp_path / "run" / "release").labels == ("run", "walk")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--strength", 1), "--strength"),  # its default, too, where it is asked for
        (("--noise", 1, "--leave-out", ""), None),
        (("--noise", 1), "--noise"),
        (("--no-suite",), "--no-suite"),
        (("--no-control",), "--no-control"),
        (("--use", "pulse", "--no-suite"), "--use, --no-suite"),
    ],
)
def test_a_budget_takes_no_option_that_it_would_not_follow(
    options: tuple, named: str | None, tmp_path: Path
) -> None:
    message = "leave-out" if named is None else f"attackers of its own, and takes no {named}[.]"
    with pytest.raises(
        ValueError, match=message
    ):  # before the recordings, which do not exist, are looked for
        run(tmp_path / "none.csv", *COLUMNS, "--max-leak", 0.5, *options, "-o", tmp_path / "run")


def test_two_people_leave_no_strangers_and_the_figure_is_empty(people_csv: Path, tmp_path: Path) -> None:
    pair = tmp_path / "pair.csv"
    text = people_csv.read_text().splitlines()
    kept = [line for line in text if line.startswith(("Ann", "Bob"))]
    pair.write_text("\n".join([f"{text[0]},pulse", *(f"{line},{i % 37}" for i, line in enumerate(kept))]))
    for number, more in enumerate(
        (("--method", "cnn"), ("--no-control", "--trial", "activity", "--use", "pulse"))
    ):
        run(pair, *COLUMNS, *more, "-o", tmp_path / f"run{number}")
        audit = json.loads((tmp_path / f"run{number}" / "private" / "audit.json").read_text())
        assert audit["after"]["f1_unknown"] is audit["after"]["eer"] is None
    assert audit["after"]["uses"]["pulse"]["unknown"] is None


def test_people_whose_names_are_numbers_with_a_point_can_be_named_as_strangers(tmp_path: Path) -> None:
    rng, people = np.random.default_rng(0), np.repeat(np.arange(5.0), 2)
    path = tmp_path / "people.npz"
    x = rng.normal(size=(10 * 40, 2))
    np.savez(path, x=x, length=np.full(10, 40), label=np.tile(["walk", "run"], 5), subject=people)
    run(path, "--window", 10, "--unknown", "3.0,1.0", "--method", "cnn", "--no-suite", "-o", tmp_path / "run")
    audit = json.loads((tmp_path / "run" / "private" / "audit.json").read_text())
    assert audit["unknown_people"] == ["3.0", "1.0"]


def test_an_existing_output_is_refused_before_any_training(people_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="exists and was not written by keshi"):
        run(people_csv, *COLUMNS, "-o", out, "--overwrite")
    assert (out / "thesis.txt").read_text() == "precious"
    mine = tmp_path / "mine"
    run(people_csv, *COLUMNS, "--method", "cnn", "--no-suite", "-o", mine)
    with pytest.raises(ArtifactError, match="exists"):
        run(people_csv, *COLUMNS, "--method", "cnn", "--no-suite", "-o", mine)
    run(people_csv, *COLUMNS, "--method", "cnn", "--no-suite", "-o", mine, "--overwrite")


def test_wrong_input_is_said_and_nothing_is_written(people_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(DomainError, match="unknown subjects \\['Zoe'\\] do not occur"):
        run(people_csv, *COLUMNS, "--unknown", "Zoe", "-o", out)
    with pytest.raises(DomainError, match="no column 'label'"):
        run(people_csv, "-o", out)
    with pytest.raises(DomainError, match="needs USC-HAD subjects 1 to 13"):
        run(people_csv, *COLUMNS, "--preset-windows", "uschad-paper", "-o", out)
    with pytest.raises(ValueError, match="method must be one of"):
        run(people_csv, *COLUMNS, "--method", "gan", "-o", out)
    for option, value, message in (
        ("--unknown", " , ", r"unknown \(--unknown\) must name at least one subject, got ' , '"),
        ("--split", "half", r"split \(--split\) must be one of blocked, random, trials; got 'half'"),
        ("--preset-windows", "mine", r"preset-windows \(--preset-windows\) must be one of uschad-paper"),
        (
            "--preset",
            "long",
            r"preset \(--preset\) must be one of robust, paper, quick, robust-quick; got 'long'",
        ),
        ("--strength", -1, "strength must be a finite number of at least 0, got -1"),
        ("--seed", -1, "seed must be a whole number from 0"),
        ("--target", "up", "target must be one of flip, prior; got 'up'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(people_csv, *COLUMNS, option, value, "--quick", "-o", out)
    with pytest.raises(ValueError, match="--preset-windows fixes its own stride"):
        run(people_csv, *COLUMNS, "--preset-windows", "uschad-full", "--stride", 5, "-o", out)
    assert [file.name for file in tmp_path.iterdir()] == [people_csv.name]  # no checkpoint of nothing either


def test_a_csv_with_a_time_stamp_is_read_once_its_channels_are_named(
    people_csv: Path, tmp_path: Path
) -> None:
    first, *rest = people_csv.read_text().splitlines()
    path = tmp_path / "timed.csv"
    path.write_text("\n".join([f"time,{first}", *(f"12:{i % 60:02d},{line}" for i, line in enumerate(rest))]))
    common = (path, *COLUMNS, "--method", "cnn")
    with pytest.raises(RecordsError, match=r"'time' hold other values.*\(--channels ax,ay,az\)"):
        run(*common, "-o", tmp_path / "run")
    run(*common, "--channels", "ay, ax", "--rate", 50, "--no-suite", "-o", tmp_path / "run")
    assert CensoredEncoder.load(tmp_path / "run" / "release").channels == 2
    with pytest.raises(DomainError, match=r"no column 'az'; it has time, person.*\(--channels\)"):
        run(*common, "--channels", "ax,az", "-o", tmp_path / "other")
    with pytest.raises(DomainError, match=r"none that is the label.*got 'activity'"):
        run(*common, "--channels", "activity", "-o", tmp_path / "other")
    with pytest.raises(ValueError, match=r"rate must be a finite number above 0, got -5"):
        run(*common, "--channels", "ax", "--rate", -5, "-o", tmp_path / "other")


@pytest.mark.parametrize("stride", [0, -3])
def test_a_stride_below_one_is_refused(people_csv: Path, tmp_path: Path, stride: int) -> None:
    with pytest.raises(ValueError, match=rf"stride \(--stride\) must be a whole number.*got {stride}"):
        run(people_csv, *COLUMNS, "--stride", stride, "-o", tmp_path / "run")


def test_the_guard_can_be_left_out_and_the_release_says_so(people_csv: Path, tmp_path: Path) -> None:
    for flag, guard in (("--guard", True), ("--no-guard", False)):
        out = tmp_path / flag
        run(people_csv, *COLUMNS, "--no-control", "--no-suite", flag, "--rounds", 1, "-o", out)
        assert CensoredEncoder.load(out / "release").settings["guard"] is guard


def test_help_says_that_there_is_no_guarantee_and_ends_with_a_line_to_paste() -> None:
    text = run("--help").stdout  # type: ignore[attr-defined]
    assert "no worst-case guarantee" in " ".join(text.split())
    assert "keshi censor USC-HAD/" in text


def test_the_verb_is_importable_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys; import keshi.cli.censor, keshi.cli.censor_run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
