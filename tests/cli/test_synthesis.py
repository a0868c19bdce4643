"""The whole chain on the command line, and what the owner reads when something is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import keshi
from keshi.cli.app import app
from keshi.cli.app import main as app_main
from keshi.cli.train import synthetic_name

# A new process shall use the same keshi, wherever it starts.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(keshi.__file__).resolve().parents[1])}
SECRET = "4711secret"
DOMAIN = """\
format = "keshi-domain-1"
label = "class"
[columns.age]
type = "numerical"
lower = 0
upper = 99
[columns.city]
type = "categorical"
categories = ["Aa", "Bb"]
[columns.class]
type = "categorical"
categories = [0, 1]
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESHI_STATE", str(tmp_path / ".state"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "age": random.integers(0, 99, n),
            "city": random.choice(["Aa", "Bb"], n),
            "class": random.integers(0, 2, n),
        }
    )
    frame.to_csv("people.csv", index=False)
    Path("people.toml").write_text(DOMAIN)


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False).stdout


def main(*arguments: object) -> tuple[int, str]:
    """Exit status and output of the command as a shell sees it, without the seconds that a new process takes."""
    said, argv = io.StringIO(), sys.argv
    sys.argv = ["keshi", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(said),
            pytest.raises(SystemExit) as ended,
        ):
            app_main()
    finally:
        sys.argv = argv
    return int(ended.value.code or 0), said.getvalue()


def files() -> set[Path]:
    return {path for path in Path().rglob("*") if ".state" not in path.parts}


def fails(*arguments: object) -> str:
    """What is said by a command that must end with status 2, leaving no new file."""
    before = files()
    status, said = main(*arguments)
    assert status == 2, said
    assert "Traceback" not in said
    assert SECRET not in said
    assert files() == before
    return said


def test_a_new_process_ends_with_status_2_and_one_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keshi.cli.app", *changed(EMBED, "people.csv", csv(f"{SECRET},Aa,1"))],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "DomainError: bad.csv does not follow people.toml:" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    assert not Path("p.embedding").exists()


def test_the_next_command_after_training_names_a_file_that_can_hold_the_records() -> None:
    """csv is refused for windows; the chain below asserts that the command tells this name."""
    assert synthetic_name(keshi.Domain({"x": keshi.Window(3, 1, lower=-1, upper=1)})) == "synthetic.npz"
    assert synthetic_name(keshi.Domain({"x": keshi.Numerical(0, 1)})) == "synthetic.csv"


def test_the_whole_chain_from_a_table_to_synthetic_records() -> None:
    draft = run("domain", "people.csv")
    assert draft.startswith('format = "keshi-domain-1"')
    assert "[columns.age]" in draft
    assert "Aa" not in draft

    embedded = run("embed", "people.csv", "--domain", "people.toml", "--epsilon", 1, "-o", "p.embedding")
    assert "(1.00, 1e-05)-differential privacy" in embedded
    assert "Next: keshi train p.embedding" in embedded
    trained = run("train", "p.embedding", "--steps", 20, "-o", "p.generator")
    assert "steps, loss" in trained
    assert trained.endswith("Next: keshi sample p.generator --rows 10000 -o synthetic.csv\n")
    drawn = run("sample", "p.generator", "--rows", 50, "-o", "synthetic.csv")
    assert "wrote synthetic.csv (50 records)" in drawn
    synthetic = pd.read_csv("synthetic.csv")
    assert list(synthetic.columns) == ["age", "city", "class"]
    assert len(synthetic) == 50
    run("sample", "p.generator", "--rows", 50, "-o", "again.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet("again.parquet"), synthetic, check_dtype=False)

    said = run("synthesize", "people.csv", "--domain", "people.toml", "--epsilon", 1, "--steps", 20, "--rows", 40,
               "-o", "run", "--no-report")  # fmt: skip
    assert "differential privacy" in said
    assert sorted(path.name for path in Path("run/release").iterdir()) == [
        "CARD.md", "embedding", "generator", "statement.json", "synthetic.csv",
    ]  # fmt: skip
    card = Path("run/release/CARD.md").read_text()
    for line in (
        "differential privacy",
        "- preset: ",
        "- training steps: ",
        "- epsilon: 1",
        "## Assumed public",
    ):
        assert line in card
    first = Path("run/release/synthetic.csv").read_bytes()
    run("synthesize", "people.csv", "--domain", "people.toml", "--epsilon", 1, "--steps", 20, "--rows", 40,
        "-o", "run", "--no-report", "--resume")  # fmt: skip
    assert Path("run/release/synthetic.csv").read_bytes() == first


EMBED = ("embed", "people.csv", "--domain", "people.toml", "--epsilon", "1", "-o", "p.embedding")
SYNTHESIZE = (
    "synthesize",
    "people.csv",
    "--domain",
    "people.toml",
    "--epsilon",
    "1",
    "-o",
    "run",
    "--steps",
    "2",
)


def changed(command: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if part == old else part for part in command)


def csv(line: str) -> str:
    Path("bad.csv").write_text("age,city,class\n30,Aa,1\n" + line + "\n")
    return "bad.csv"


@pytest.mark.parametrize(
    ("prepare", "command", "says"),
    [
        (None, changed(EMBED, "people.csv", "none.csv"), "none.csv: there is no such file"),
        (None, changed(EMBED, "people.csv", "people.toml"), "expected a table in .csv"),
        (lambda: Path("bad.csv").touch(), changed(EMBED, "people.csv", "bad.csv"), "the file is empty"),
        (lambda: csv(f"{SECRET},Aa,1"), changed(EMBED, "people.csv", "bad.csv"), "'age' has values that are not"),
        (lambda: csv(f"30,{SECRET},1"), changed(EMBED, "people.csv", "bad.csv"), "not among its 2 categories"),
        (lambda: csv("30,Aa,"), changed(EMBED, "people.csv", "bad.csv"), "column 'class' has missing values"),
        (lambda: csv(f"30,Aa,1,{SECRET}"), changed(EMBED, "people.csv", "bad.csv"), "a line has 4"),
        (lambda: Path("people.toml").write_text(DOMAIN.replace("city", "town")), EMBED, "'city' is not declared"),
        (None, changed(EMBED, "people.toml", "none.toml"), "keshi domain FILE > none.toml"),
        (None, changed(EMBED, "1", "0"), "epsilon must be a finite number above 0"),
        (None, changed(EMBED, "1", "nan"), "epsilon must be a finite number above 0"),
        (None, (*EMBED, "--delta", "0"), "delta must lie strictly between 0 and 1"),
        (None, (*EMBED, "--delta", "1.5"), "delta must lie strictly between 0 and 1"),
        (None, (*EMBED, "--seed", "-1"), "seed must be a whole number from 0"),
        (None, (*EMBED, "--preset", "magic"), "preset must be one of"),
        (None, (*EMBED, "--relation", "both"), "relation must be one of add-or-remove, replace-one"),
        (None, changed(EMBED, "p.embedding", "none/p"), "does not exist. Create it"),
        (None, changed(EMBED, "p.embedding", "people.csv"), "exists and was not written by keshi"),
        (None, ("train", "people.csv", "-o", "g"), "people.csv"),
        (None, ("train", "none", "-o", "g"), "none"),
        (None, ("train", "none", "--steps", "0", "-o", "g"), "steps must be a whole number of at least 1"),
        (None, ("sample", "none", "--rows", "0", "-o", "s.csv"), "rows must be a whole number of at least 1"),
        (None, ("sample", "none", "--rows", "5", "-o", "s.xlsx"), "written as .csv"),
        (None, ("sample", "none", "--rows", "5", "-o", "none/s.csv"), "does not exist; create it"),
        (None, ("sample", "none", "--rows", "5", "-o", "people.csv"), "people.csv exists"),
        (None, ("domain", "people.csv", "-o", "people.toml"), "people.toml exists"),
        (None, ("domain", "none.csv"), "there is no such file"),
        (None, changed(SYNTHESIZE, "people.csv", "none.csv"), "there is no such file"),
        (lambda: csv(f"{SECRET},Aa,1"), changed(SYNTHESIZE, "people.csv", "bad.csv"), "column 'age'"),
        (None, changed(SYNTHESIZE, "2", "0"), "steps must be a whole number of at least 1"),
        (None, (*SYNTHESIZE, "--rows", "0"), "rows must be a whole number of at least 1"),
        (None, (*SYNTHESIZE, "--threads", "0"), "threads must be a whole number of at least 1"),
        (None, (*SYNTHESIZE, "--holdout", "none.csv"), "none.csv: there is no such file"),
        (None, (*SYNTHESIZE, "--resume"), "holds no embedding to resume"),
        (lambda: (Path("run/release").mkdir(parents=True), Path("run/release/x").touch()), SYNTHESIZE, "other files"),
        (None, (*EMBED, "--epsilonn", "1"), "No such option"),
    ],
)  # fmt: skip
def test_wrong_input_ends_with_status_2_a_reason_and_nothing_half_done(prepare, command, says) -> None:
    if prepare is not None:
        prepare()
    assert says in fails(*command)


def test_a_refused_table_leaves_the_whole_budget_and_show_values_names_the_value() -> None:
    from keshi.cli.ledger import ledger_app
    from keshi.privacy.ledger import PrivacyLedger

    CliRunner().invoke(ledger_app, ["create", "people.toml", "--epsilon", "1"], catch_exceptions=False)
    bad = csv(f"30,{SECRET},1")
    fails(*changed(EMBED, "people.csv", bad))
    with PrivacyLedger.open("people.ledger") as ledger:
        assert ledger.spent().mu == 0
    status, said = main(*changed(EMBED, "people.csv", bad), "--show-values")
    assert status == 2
    assert SECRET in said


def test_an_output_that_exists_is_kept_and_replaced_on_request() -> None:
    run(*EMBED)
    before = sorted((path.name, path.read_bytes()) for path in Path("p.embedding").iterdir())
    assert "p.embedding exists" in fails(*EMBED)
    assert sorted((path.name, path.read_bytes()) for path in Path("p.embedding").iterdir()) == before
    run(*EMBED, "--overwrite")
    run("train", "p.embedding", "--steps", 2, "-o", "g.zip")
    assert "g.zip exists" in fails("train", "p.embedding", "--steps", 2, "-o", "g.zip")
    run("train", "p.embedding", "--steps", 2, "-o", "g.zip", "--overwrite")
    run("train", "p.embedding", "--steps", 2, "-o", "g.zip", "--resume")
    Path("other.zip").write_bytes(b"PK")
    assert "not written by keshi" in fails("train", "p.embedding", "--overwrite", "-o", "other.zip")
    run("sample", "g.zip", "--rows", 3, "-o", "s.csv")
    assert "add --overwrite" in fails("sample", "g.zip", "--rows", 3, "-o", "s.csv")
    assert "3 records" in run("sample", "g.zip", "--rows", 3, "-o", "s.csv", "--overwrite")


def test_a_hold_out_without_a_column_is_refused_before_anything_is_spent() -> None:
    pd.read_csv("people.csv").drop(columns="city").to_csv("held.csv", index=False)
    said = fails(*SYNTHESIZE, "--holdout", "held.csv")
    assert "held.csv lacks the columns ['city']; give records with all columns of people.csv" in said


def another_table(name: str) -> str:
    people = pd.read_csv("people.csv")
    people.loc[0, "age"] = (people.loc[0, "age"] + 1) % 99  # one number of one record
    people.to_csv(name, index=False)
    return name


def test_a_run_goes_on_with_the_records_it_began_with_and_no_others() -> None:
    run(*SYNTHESIZE, "--no-report")
    assert "is not what run/release/embedding was made of" in fails(
        *changed(SYNTHESIZE, "people.csv", another_table("others.csv")), "--no-report", "--resume"
    )
    Path("moved.csv").write_bytes(Path("people.csv").read_bytes())  # its name does not matter
    code, said = main(*changed(SYNTHESIZE, "people.csv", "moved.csv"), "--no-report", "--resume")
    assert code == 0
    assert "does not say" not in said
    Path("run/private/began-with.json").unlink()
    _, said = main(*changed(SYNTHESIZE, "people.csv", "others.csv"), "--no-report", "--resume")
    assert "run/private does not say which records the run began with" in said
    Path("run/private/began-with.json").write_text("{}")
    assert "this does not say which records" in fails(*SYNTHESIZE, "--no-report", "--resume")


def test_what_tells_the_records_apart_is_private_to_its_owner_and_differs_from_run_to_run() -> None:
    kept = []
    for output in ("run", "again"):
        run(*changed(SYNTHESIZE, "run", output), "--no-report")
        file = Path(output, "private", "began-with.json")
        kept.append(json.loads(file.read_text()))
        if os.name != "nt":
            assert file.stat().st_mode & 0o077 == 0
        released = b"".join(
            path.read_bytes() for path in Path(output, "release").rglob("*") if path.is_file()
        )
        assert kept[-1]["fingerprint"].encode() not in released
        assert kept[-1]["key"].encode() not in released
    assert kept[0]["fingerprint"] != kept[1]["fingerprint"]


def test_a_run_whose_embedding_cannot_be_saved_leaves_nothing_to_go_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from keshi.synthesis.private_embedding import PrivateEmbedding

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(PrivateEmbedding, "save", full)
        code, _ = main(*SYNTHESIZE, "--no-report")
        assert code != 0
    assert not Path("run").exists()


def test_a_generator_goes_on_with_its_own_embedding_though_another_promises_the_same() -> None:
    run(*EMBED)
    run(*changed(changed(EMBED, "people.csv", another_table("others.csv")), "p.embedding", "o.embedding"))
    run("train", "p.embedding", "--steps", 2, "-o", "g")
    assert "trained on another embedding" in fails(
        "train", "o.embedding", "--steps", 2, "-o", "g", "--resume"
    )
    run("train", "p.embedding", "--steps", 2, "-o", "g", "--resume")


def test_a_tiny_epsilon_is_printed_with_its_digits() -> None:
    assert "(1e-09, 1e-05)-differential privacy" in run(*changed(EMBED, "1", "1e-9"))
    assert "epsilon 1e-09)" in run(*changed(EMBED, "1", "1e-9"), "--overwrite")


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_leaves_nothing_half_written() -> None:
    run(*EMBED, "--preset", "paper")  # whose training is long
    before = files()
    training = subprocess.Popen(
        [sys.executable, "-m", "keshi.cli.app", "train", "p.embedding", "--steps", "1000000", "-o", "g"],
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        # A shell that runs the tests in the background has them, and their children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    time.sleep(12)  # seconds: into the training, on a busy machine too
    training.send_signal(signal.SIGINT)
    try:
        _, said = training.communicate(timeout=30)
    finally:
        training.kill()
    assert training.returncode not in (0, -signal.SIGINT), said
    assert "Traceback" not in said
    assert files() == before


def test_the_report_of_a_large_table_is_of_some_records_and_only_it_says_of_how_many(monkeypatch) -> None:
    monkeypatch.setattr("keshi.cli.synthesize.MOST_COMPARED", 200)
    pd.concat([pd.read_csv("people.csv")] * 5).iloc[:1_237].to_csv("people.csv", index=False)
    code, said = main(*SYNTHESIZE)
    assert code == 0
    assert "200 of 1,237, drawn at random" in Path("run/private/report.html").read_text()
    # Not the figure itself: the noisy count of a release, which is printed, may happen to be 1,237.
    assert "drawn at random" not in said


def test_a_table_without_records_is_released_and_not_reported_on() -> None:
    pd.read_csv("people.csv").head(0).to_csv("empty.csv", index=False)
    code, said = main("synthesize", "empty.csv", "--domain", "people.toml", "--epsilon", "1", "-o", "run")
    assert code == 0, said
    assert "no report: empty.csv has no records" in said
    assert Path("run/release/synthetic.csv").exists()
    assert not Path("run/private/report.html").exists()
