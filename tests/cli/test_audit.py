"""keshi audit: gates and exit status, files, what it says when something is wrong, and that it starts no torch."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import keshi
from keshi.auditing.cells import is_numerical
from keshi.cli.app import main as app_main
from keshi.cli.audit_tables import with_moments


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    job = rng.choice(["None", "NA", "?"], rows)
    return pd.DataFrame({"id": range(rows), "x": x, "job": job, "y": np.where(x > 0, 1, 0)})


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people(400, 0).to_csv("people.csv", index=False)
    people(400, 1).to_csv("others.csv", index=False)
    people(400, 2).to_csv("fresh.csv", index=False)
    people(400, 0).to_parquet("copied.parquet")


@pytest.fixture
def odd_files():
    """Tables that cannot be audited, each for a reason of its own."""
    few = people(400, 3)
    few.assign(job="Caf\xe9").to_csv("latin.csv", index=False, encoding="latin-1")
    few.to_csv("utf16.csv", index=False, encoding="utf-16")
    few.to_csv("semicolons.csv", index=False, sep=";")
    few.assign(x=np.inf).to_csv("infinite.csv", index=False)
    few.drop(columns="x").to_csv("fewer.csv", index=False)
    np.savez("people.npz", x=np.zeros((5, 4, 4)))


def main(*arguments):
    """Exit status, stdout and stderr of the command."""
    out, said, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["keshi", "audit", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(out),
            pytest.raises(SystemExit) as ended,
        ):
            app_main()
    finally:
        sys.argv = argv
    return int(ended.value.code or 0), out.getvalue(), said.getvalue()


COMMON = ("--train", "people.csv", "--holdout", "others.csv", "--ignore", "id", "--targets", "200", "--quick")


def test_a_fresh_sample_passes_and_a_copied_one_fails_with_the_names_of_the_gates():
    code, said, _ = main(
        "fresh.csv", *COMMON, "--fail-above", "copies=0.1", "--fail-above", "membership=0.15"
    )
    assert code == 0, said
    assert "NO LEAK FOUND" in said
    code, said, _ = main("copied.parquet", *COMMON, "--fail-above", "risk=0.05", "--fail-above", "copies=0.1")
    assert code == 1
    assert "gates not passed: risk, copies" in said
    assert "LEAK:" in said
    assert (
        main("copied.parquet", *COMMON)[0] == 0
    )  # without gates the verdict is told, and the run is a success


def test_an_inconclusive_gate_fails_with_its_reason_unless_it_is_allowed():
    arguments = ("fresh.csv", "--train", "people.csv", "--ignore", "id", "--fail-above", "risk=0.05")
    code, said, _ = main(*arguments)
    assert code == 1
    assert "inconclusive. no hold-out was given" in said
    assert main(*arguments, "--allow-inconclusive")[0] == 0


def test_three_files_appear_with_the_statement_and_the_same_verdict_as_json():
    Path("statement.json").write_text(json.dumps({"sentence": "promised: nothing."}))
    code, said, _ = main(
        "fresh.csv", *COMMON, "--label", "y", "--compare", "copied.parquet", "-o", "report.html",
        "--statement", "statement.json", "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(said)
    assert [one["name"] for one in found["tables"]][:2] == ["release", "second release"]
    assert found["tables"][1]["attacks"]["verdict"] == "leak"
    page, text = Path("report.html").read_text(), Path("report.md").read_text()
    assert "promised: nothing." in page
    assert "promised: nothing." in text
    written = json.loads(Path("report.json").read_text())
    assert written["statement"] == ["promised: nothing."]
    assert "What this does not protect" in text


def test_tables_and_images_are_audited_without_torch():
    for name, seed in (("real", 0), ("held", 1), ("made", 2)):
        np.savez(f"{name}.npz", **dict(zip("xy", pictures(210, seed), strict=True)))
    program = (
        "import sys; from keshi.cli.app import app\n"
        "for words in ('fresh.csv --train people.csv --holdout others.csv --ignore id --targets 100 --quick --label y "
        "-o r.html', 'made.npz --train real.npz --holdout held.npz --quick --label y -o s.html'):\n"
        "    sys.argv = ['keshi', 'audit', *words.split()]\n"
        "    try: app()\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "import keshi; keshi.audit_release\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(keshi.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert Path("r.html").exists()
    assert Path("s.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.csv", *COMMON), "no such file"),
        (("fresh.csv", "--train", "people.csv", "-o", "report.pdf"), "written as .html"),
        (("fresh.csv", "--train", "people.csv", "-o", "nowhere/report.html"), "does not exist"),
        (("fresh.csv", *COMMON, "--fail-above", "harm=1"), "for a table, leak, risk"),
        (("fresh.csv", *COMMON, "--label", "salary"), "--label salary: there is no column"),
        (
            ("fresh.csv", "--train", "people.csv", "--ignore", "nope"),
            "--ignore nope: no file has this column",
        ),
        (("fresh.csv", "--train", "people.csv", "--categorical", "nope"), "--categorical nope"),
        (("fresh.csv", "--train", "people.csv", "--secret", "nope"), "--secret nope"),
        (("fresh.csv", *COMMON, "--cnn"), "--cnn is for images or windows; here a table"),
        (("fresh.csv", *COMMON, "--subject", "x"), "--subject is for features"),
        (
            ("fresh.csv", "--train", "people.csv", "--features", "z.npz", "--subject", "s"),
            "a release is for tables",
        ),
        (("latin.csv", "--train", "people.csv"), "latin.csv: this is not UTF-8"),
        (("utf16.csv", "--train", "people.csv"), "utf16.csv: this is not UTF-8"),
        (("semicolons.csv", "--train", "people.csv"), "semicolons.csv: its header is one column"),
        (("infinite.csv", "--train", "people.csv"), "infinite.csv: column 'x' holds infinite"),
        (
            ("fresh.csv", "--train", "people.csv", "--holdout", "fewer.csv"),
            "fewer.csv: expected the columns of people.csv",
        ),
        (("fresh.csv", "--train", "people.npz"), "people.npz does not; give files of one kind"),
        (("fresh.csv", *COMMON, "--secret", "salary"), "no column 'salary'"),
        (("fresh.csv", "--train", "people.csv", "--statement", "people.csv"), "statement"),
        (("fresh.csv", "--train", "people.csv", "--seed", "-1"), "seed"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(odd_files, arguments, message):
    code, _, said = main(*arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said


def test_a_report_is_never_written_into_release():
    Path("release").mkdir()
    code, _, said = main("fresh.csv", *COMMON, "-o", "release/report.html")
    assert code == 2
    assert "private/" in said
    assert list(Path("release").iterdir()) == []


def test_dates_of_a_csv_are_moments_and_not_categories():
    days = pd.Series(pd.date_range("2020-01-01", periods=40).to_numpy())
    train = pd.DataFrame(
        {
            "day": days.dt.strftime("%Y-%m-%d"),
            "date": days.dt.date,
            "code": ["2020-01-01"] * 39 + ["A1"],
            "secret": days.dt.strftime("%Y-%m-%d"),
        }
    )
    train.loc[3, "day"] = None
    synthetic = train.assign(day=days.dt.strftime("%Y-%m-%d 00:00:00"))
    synthetic.loc[5, "day"] = "soon"
    read = with_moments({"train": train, "synthetic": synthetic}, but={None, "secret"})
    for table, lost in zip(read.values(), (3, 5), strict=True):
        assert table["day"].dt.tz_localize(None).drop(lost).tolist() == days.drop(lost).tolist()
        assert pd.isna(table["day"][lost])
        assert is_numerical(table["date"])
        assert not is_numerical(table["code"])
        assert table["secret"].tolist() == train["secret"].tolist()


def test_categories_that_look_like_missing_values_stay_categories():
    _, said, _ = main("fresh.csv", *COMMON, "--json")
    labels = [
        one["labels"]
        for one in json.loads(said)["tables"][0]["fidelity"]["histograms"]
        if one["column"] == "job"
    ]
    assert sorted(labels[0]) == ["(missing)", "?", "NA", "None"]


def pictures(rows, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    records = random.integers(0, 100, (rows, 5, 5))
    records[labels == 1, 2] += 100
    return records.astype(np.uint8), labels


@pytest.fixture
def arrays():
    for name, seed in (("real", 0), ("held", 1), ("made", 2)):
        x, y = pictures(420, seed)
        np.savez(f"{name}.npz", x=x, y=y, own=x.reshape(420, -1)[:, :3].astype(float))


def test_images_are_audited_with_gates_and_a_page_and_a_copy_fails(arrays):
    ours = ("--train", "real.npz", "--holdout", "held.npz", "--label", "y", "--extracted", "own", "--quick")
    code, said, _ = main(
        "made.npz", *ours, "--compare", "real.npz", "--fail-above", "copies=0.1", "-o", "images.html"
    )
    assert code == 0, said
    assert "second release" in said
    assert "class means" in said
    assert "NO LEAK FOUND" in said
    page = Path("images.html").read_text()
    assert "Nearest real records" in page
    assert json.loads(Path("images.json").read_text())["found"].startswith("No leak found")
    assert "What was found" in Path("images.md").read_text()
    x, y = pictures(420, 0)
    for name, labels, message in (
        ("short", y[:5], "5 entries"),
        ("hot", np.eye(2)[y], "argmax"),
        ("f", y + 0.5, "amounts"),
    ):
        np.savez(f"{name}.npz", x=x, y=labels)
        code, _, told = main(f"{name}.npz", "--train", "real.npz", "--label", "y")
        assert (code, f"{name}.npz" in told, message in told) == (2, True, True), told
    code, said, _ = main("real.npz", *ours, "--fail-above", "copies=0.1", "--json")
    assert code == 1
    assert json.loads(said)["gates"][0]["verdict"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("made.npz", "--train", "nowhere.npz", "--label", "y"), "expected one array"),
        (("made.npz", "--train", "real.npz"), "expected one array of images or windows"),
        (("made.npz", "--train", "real.npz", "--label", "z"), "'z'"),
        (("made.npz", "--train", "real.npz", "--secret", "x"), "--secret is for tables"),
        (
            ("made.npz", "--train", "real.npz", "--fail-above", "auc_gap=0.1"),
            "for images or windows, leak, risk",
        ),
    ],
)
def test_wrong_arrays_are_one_message_and_status_2(arrays, arguments, message):
    code, _, said = main(*arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said


def test_a_folder_of_pictures_by_class_is_read_without_an_option():
    from PIL import Image

    for name, seed in (("real", 0), ("made", 1)):
        for i, (picture, label) in enumerate(zip(*pictures(24, seed), strict=True)):
            Path(name, str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(Path(name, str(label), f"{i}.png"))
    code, said, _ = main("made", "--train", "real", "--quick", "--json")
    assert code == 0
    found = json.loads(said)
    assert found["verdict"] == "inconclusive"
    assert found["train_rows"] == 24
    assert found["tables"][0]["classes_apart"] < 1


def test_features_are_attacked_with_gates_and_a_page_and_files_of_other_arrays_refused(monkeypatch):
    monkeypatch.setattr("keshi.auditing.feature_audit.NETWORKS", {"linear": ()})  # the others take seconds
    monkeypatch.setattr("keshi.auditing.feature_audit.OTHERS", ())
    monkeypatch.setattr("keshi.auditing.identification.SHORTEST_EPOCH", 5)
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(4), 200)
    z = rng.normal(size=(800, 3)) + 4 * who[:, None]
    y = rng.integers(0, 2, 800)
    np.savez("z.npz", z=z, s=who, y=y, p=np.eye(2)[y], pulse=z[:, 0], worn=np.where(y, "left", "right"))
    np.savez("blind.npz", z=rng.normal(size=(800, 3)), s=who)
    ours = ("--features", "z.npz", "--subject", "s")
    code, said, _ = main(
        *ours, "--label", "y", "--softmax", "p", "--compare", "blind.npz", "--fail-above", "risk=0.05",
        "--use", "pulse", "--use", "worn", "-o", "z.html",
    )  # fmt: skip
    assert code == 1
    assert "LEAK." in said
    assert "No --trial was given" in said
    assert "worst attacker on softmax" in said
    assert "use pulse, R2 of a linear probe, unknown people: 1.000 [" in said
    # the label is in the softmax and not in the features
    assert re.search(
        r"use worn, macro-F1 .*, known people: 0\.[3-6].*; softmax 1\.000, .*always the same", said
    )
    assert "gate risk (limit 0.05)" in said
    page = Path("z.html").read_text()
    for text in (
        "LEAK: attacker linear names",
        "softmax only",
        "second release",
        "Uses beyond the label",
        "What this does not protect",
    ):
        assert text in page
    assert main("--features", "blind.npz", "--subject", "s", "--fail-above", "identification=0.2")[0] == 0
    assert main("--features", "z.npz", "--subject", "t")[0] == 2
    code, _, said = main(*ours, "--fail-above", "membership=0.1")
    assert code == 2
    assert "for features, leak, risk, identification" in said
    assert main(*ours, "--use", "shoe")[0] == main(*ours, "--use", "s")[0] == 2
    np.savez("others.npz", z=z, s=who[::-1])
    code, _, said = main(*ours, "--compare", "others.npz")
    assert code == 2
    assert "same order" in said
    np.savez("objects.npz", z=np.array([{}]), s=np.array([1]))
    code, _, said = main("--features", "objects.npz", "--subject", "s")
    assert code == 2
    assert "Python objects" in said
    np.save("z.npy", z)
    np.savez("empty.npz", z=z[:, :0], s=who)
    np.savez("complex.npz", z=z + 1j, s=who)
    for name, message in (
        ("z.npy", "numpy.savez"), ("empty.npz", "at least one a row"), ("complex.npz", "complex128"),
        ("no.npz", "no such"),
    ):  # fmt: skip
        code, _, said = main("--features", name, "--subject", "s")
        assert (code, name in said, message in said) == (2, True, True), said
        assert main(*ours, "--compare", name)[0] == 2
    assert main("fresh.csv")[0] == 2  # neither --train nor --features
