"""A full disk at every phase boundary: one message, status 2, nothing half-written, a ledger that can be trusted.

The limit on the size of files stands for most disks: every write that would lengthen a file fails from then on. Where
the tests run as the superuser, a small file system of its own is filled to the last byte as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

PAPER = ("--domain", "people.toml", "--preset", "paper")  # its training is long enough to be interrupted
EMBED = ("embed", "people.csv", *PAPER, "--epsilon", 1, "--run", "r", "-o", "p.embedding")
SYNTHESIZE = (
    "synthesize", "people.csv", *PAPER, "--epsilon", 1, "--run", "r", "--steps", 3, "--rows", 60,
    "-o", "run",
)  # fmt: skip
SPEND, STORE = "keshi.privacy.ledger:PrivacyLedger.spend", "keshi.privacy.ledger:PrivacyLedger.store"
SAVE = "keshi.synthesis.private_embedding:PrivateEmbedding.save"
SAVE_GENERATOR = "keshi.synthesis.trained_generator:Generator.save"
QUICK = {"at": "keshi.cli.synthesize:audit_sections", "do": "set", "options": {"quick": True}}


def full(at: str, when: str = "before", nth: int = 1, size: int = 1) -> dict[str, Any]:
    """From there on no file can be written beyond `size` bytes."""
    return {"at": at, "when": when, "nth": nth, "do": "full", "bytes": size}


# where, (spends, values) of the ledger then, spends when the same run has been finished
WHILE_EMBEDDING = {
    "before the table is read": (full("keshi.synthesis.embedding:embed_partial"), (0, 0), 2),
    "spend written, its state cannot be": (full("keshi.privacy.ledger_state:LedgerState.write"), (1, 0), 3),
    "first spend written": (full(SPEND, "after"), (1, 0), 3),
    "first noise stored": (full(STORE, "after"), (1, 1), 2),
    "second spend written": (full(SPEND, "after", 2), (2, 1), 3),
    "second noise stored": (full(STORE, "after", 2), (2, 2), 2),
    "no byte of the embedding fits": (full(SAVE), (2, 2), 2),
    "half of the embedding fits": (full(SAVE, size=4000), (2, 2), 2),
}


@pytest.mark.parametrize("name", WHILE_EMBEDDING)
def test_embed_on_a_full_disk_says_so_and_is_finished_by_its_run_when_there_is_room(people, name):
    where, counts, spends = WHILE_EMBEDDING[name]
    people.refuses(*EMBED, faults=[where])
    assert not (people.folder / "p.embedding").exists()
    book = people.book()
    book.check()
    assert book.counts == counts
    kept = book.values
    people.finishes(*EMBED)
    book = people.book()
    book.check()
    assert book.counts == (spends, 2)
    assert {key: book.values[key] for key in kept} == kept
    assert people.sums("p.embedding") == [book.values["r", 0], book.values["r", 1]]


# where, what stands in release/ then, whether with the private report
WHILE_RELEASING = {
    "embedding": (full(SAVE), None, "--no-report"),
    "generator": (full(SAVE_GENERATOR, size=1000), ["embedding"], "--no-report"),
    "table": (full("keshi.records.table_output:write_table"), ["embedding", "generator"], "--no-report"),
    "card": (
        full("keshi.cli.synthesize:release_card"),
        ["embedding", "generator", "statement.json", "synthetic.csv"],
        "--no-report",
    ),
    "report": (
        full("keshi.reports.report:write_report"),
        ["CARD.md", "embedding", "generator", "statement.json", "synthetic.csv"],
        "--report",
    ),
}


@pytest.mark.parametrize("name", WHILE_RELEASING)
def test_synthesize_on_a_full_disk_keeps_what_is_whole_and_goes_on_when_there_is_room(people, name):
    where, there, report = WHILE_RELEASING[name]
    people.refuses(*SYNTHESIZE, report, faults=[QUICK, where])
    release = people.folder / "run" / "release"
    assert (sorted(path.name for path in release.iterdir()) if release.exists() else None) == there
    book = people.book()
    book.check()
    assert book.counts == (2, 2)
    people.finishes(*SYNTHESIZE, report, *([] if there is None else ["--resume"]), faults=[QUICK])
    people.check_files("run/release", "run/private")
    assert people.book().values == book.values
    assert people.book().counts == (2, 2)


@pytest.mark.parametrize(
    ("command", "output", "where"),
    [
        (("train", "p.embedding", "--steps", 3), "new.generator", full(SAVE_GENERATOR)),
        (("train", "p.embedding", "--steps", 3), "new.generator", full(SAVE_GENERATOR, size=1000)),
        (("train", "p.embedding", "--steps", 3), "new.zip", full(SAVE_GENERATOR, size=1000)),
        (("sample", "p.generator", "--rows", 60), "new.csv", full("pandas:DataFrame.to_csv")),
        (("sample", "p.generator", "--rows", 60), "new.csv", full("pandas:DataFrame.to_csv", size=200)),
        (("sample", "p.generator", "--rows", 60), "new.csv.gz", full("pandas:DataFrame.to_csv")),
        (
            ("sample", "p.generator", "--rows", 60),
            "new.parquet",
            full("keshi.records.table_output:_write_parquet"),
        ),
        (("domain", "people.csv"), "new.toml", full("keshi.artifacts.atomic:write_atomically")),
        (("ledger", "create"), "new.ledger", full("keshi.privacy.ledger:create_file")),
    ],
    ids=[
        "generator",
        "half a generator",
        "zip",
        "csv",
        "half a csv",
        "csv.gz",
        "parquet",
        "domain",
        "ledger",
    ],
)
def test_other_commands_on_a_full_disk_leave_no_output(copied, command, output, where):
    said = (output, "--epsilon", 1) if command == ("ledger", "create") else ("-o", output)
    copied.refuses(*command, *said, faults=[where])
    assert not (copied.folder / output).exists()
    copied.finishes(*command, *said)
    assert (copied.folder / output).exists()


def test_a_message_that_cannot_be_printed_is_an_error_and_not_a_silent_success(copied):
    ended = copied.run("domain", "people.csv", stdout="/dev/full")
    assert (ended.status, "No space left" in ended.said, "Traceback" in ended.said) == (2, True, False)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, mounted on `disk/` in the folder of the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if (
        os.name == "nt"
        or os.geteuid() != 0
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("only the superuser can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("command", "at"),
    [
        (("train", "p.embedding", "--steps", 3, "-o", "disk/new.generator"), SAVE_GENERATOR),
        (("sample", "p.generator", "--rows", 60, "-o", "disk/new.csv"), "pandas:DataFrame.to_csv"),
        (
            ("sample", "p.generator", "--rows", 60, "-o", "disk/new.parquet"),
            "keshi.records.table_output:_write_parquet",
        ),
        (("ledger", "create", "disk/new.ledger", "--epsilon", 1), "keshi.privacy.ledger:create_file"),
    ],
    ids=["train", "sample csv", "sample parquet", "ledger create"],
)
def test_a_disk_that_is_really_full_is_one_message(copied, small_disk, command, at):
    ballast = small_disk / "ballast"
    fill = {"at": at, "when": "before", "do": "fill", "file": str(ballast)}
    copied.refuses(*command, faults=[fill])
    assert list(small_disk.iterdir()) == [ballast]
    ballast.unlink()
    copied.finishes(*command)


def test_a_ledger_on_a_disk_that_is_really_full_spends_nothing(copied, small_disk):
    for name in ("people.ledger", "people.toml"):
        shutil.move(copied.folder / name, small_disk / name)
    embed = (*("disk/people.toml" if part == "people.toml" else part for part in EMBED), "--overwrite")
    embed = tuple("new" if part == "r" else part for part in embed)
    (copied.folder / "people.ledger").symlink_to(small_disk / "people.ledger")
    before = copied.book().counts
    fill = {"at": SPEND, "when": "before", "do": "fill", "file": str(small_disk / "ballast")}
    assert "full" in copied.refuses(*embed, faults=[fill])
    copied.book().check()
    assert copied.book().counts == before
    (small_disk / "ballast").unlink()
    copied.finishes(*embed)
    assert copied.book().counts == (before[0] + 2, before[1] + 2)


def test_subjects_that_do_not_fit_the_temporary_folder_are_one_message_before_anything_is_spent(
    people, small_disk
):
    """The weights of 5,000 records take five pages of a mapped file, of which the disk has room for two."""
    rows = [f"{number % 99},Aa,{number % 2},{number // 2}" for number in range(5000)]
    (people.folder / "people.csv").write_text("\n".join(["age,city,class,person", *rows, ""]))
    text = (people.folder / "people.toml").read_text()
    (people.folder / "people.toml").write_text(text.replace("label =", 'ignore = ["person"]\nlabel =', 1))
    fill = {
        "at": "numpy.lib.format:open_memmap",
        "when": "before",
        "do": "fill",
        "file": str(small_disk / "ballast"),
        "spare": 8192,
    }
    people.refuses(*EMBED, "--subject", "person", faults=[fill], temporary=str(small_disk))
    assert not (people.folder / "p.embedding").exists()
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
    assert people.book().counts == (0, 0)
    (small_disk / "ballast").unlink()
    people.finishes(*EMBED, "--subject", "person")
