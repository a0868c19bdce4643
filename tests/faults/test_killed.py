"""SIGKILL at every phase boundary of the commands that spend or write: see the privacy notes, "ledger first".

Each row of a table is one case: where it is killed, and how many spends and noisy values the ledger holds then.
"""

from __future__ import annotations

import signal
from typing import Any

import pandas as pd
import pytest

PAPER = ("--domain", "people.toml", "--preset", "paper")  # its training is long enough to be interrupted
EMBED = ("embed", "people.csv", *PAPER, "--epsilon", 1, "--run", "r", "-o", "p.embedding")
SYNTHESIZE = (
    "synthesize", "people.csv", *PAPER, "--epsilon", 1, "--run", "r", "--steps", 3, "--rows", 60,
    "-o", "run",
)  # fmt: skip
# The report's classifiers are not what is tested here.
QUICK = {"at": "keshi.cli.synthesize:audit_sections", "do": "set", "options": {"quick": True}}
RELEASE = ["CARD.md", "embedding", "generator", "statement.json", "synthetic.csv"]


def kill(at: str, when: str, nth: int = 1) -> dict[str, Any]:
    return {"at": at, "when": when, "nth": nth, "do": "kill"}


SPEND, STORE = "keshi.privacy.ledger:PrivacyLedger.spend", "keshi.privacy.ledger:PrivacyLedger.store"
NOISE = "keshi.privacy.mechanisms:discrete_gaussian"
DURABLY, IN_PLACE = "keshi.artifacts.atomic:_write_durably", "keshi.artifacts.atomic:_put_in_place"
BYTES, TABLE = "pathlib:Path.write_bytes", "keshi.records.table_output:write_table"
STEP = "keshi.synthesis.reconstruction:discrepancies"
SAVE = "keshi.synthesis.private_embedding:PrivateEmbedding.save"
SAVE_GENERATOR = "keshi.synthesis.trained_generator:Generator.save"

# name, where, (spends, values) of the ledger then, spends when the same run has been finished
WHILE_MEASURING = [
    ("before the table is read", kill("keshi.synthesis.embedding:embed_partial", "before"), (0, 0), 2),
    ("first reading done", kill(SPEND, "before"), (0, 0), 2),
    ("first spend on the disk, its state file half written", kill(DURABLY, "half"), (1, 0), 3),
    ("first spend written, no noise yet", kill(SPEND, "after"), (1, 0), 3),
    ("first noise drawn, not stored", kill(STORE, "before"), (1, 0), 3),
    ("first noise stored", kill(STORE, "after"), (1, 1), 2),
    ("second reading done", kill(SPEND, "before", 2), (1, 1), 2),
    ("second spend written, no noise yet", kill(SPEND, "after", 2), (2, 1), 3),
    ("noise of one block of two drawn", kill(NOISE, "after", 2), (2, 1), 3),
    ("second noise drawn, not stored", kill(STORE, "before", 2), (2, 1), 3),
    ("second noise stored", kill(STORE, "after", 2), (2, 2), 2),
    ("statement made, embedding not saved", kill(SAVE, "before"), (2, 2), 2),
    ("manifest of the embedding half written", kill(BYTES, "half"), (2, 2), 2),
    ("second file of the embedding half written", kill(BYTES, "half", 2), (2, 2), 2),
    ("embedding written, not in place", kill(IN_PLACE, "before"), (2, 2), 2),
]
NAMES = [row[0] for row in WHILE_MEASURING]


@pytest.mark.parametrize(("name", "where", "counts", "spends"), WHILE_MEASURING, ids=NAMES)
def test_a_killed_embed_is_finished_by_its_run_and_draws_no_noise_twice(people, name, where, counts, spends):
    assert people.run(*EMBED, faults=[where]).status == -signal.SIGKILL
    book = people.book()
    book.check()
    assert book.counts == counts
    assert not (people.folder / "p.embedding").exists()
    kept = book.values

    people.finishes(*EMBED)
    book = people.book()
    book.check()
    assert book.counts == (spends, 2)
    assert {key: book.values[key] for key in kept} == kept
    assert people.sums("p.embedding") == [book.values["r", 0], book.values["r", 1]]


LEARN = (
    "domain",
    "people.csv",
    "--epsilon",
    1,
    "--ledger",
    "people.ledger",
    "--run",
    "r",
    "-o",
    "learnt.toml",
)


@pytest.mark.parametrize(
    ("where", "counts", "spends"),
    [
        (kill(STORE, "before"), (1, 0), 3),
        (kill(STORE, "after"), (1, 1), 2),
        (kill(STORE, "after", 2), (2, 2), 2),
        (kill("keshi.artifacts.atomic:write_atomically", "before"), (2, 2), 2),
    ],
    ids=["bounds drawn, not stored", "bounds stored", "categories stored", "learnt, not written"],
)
def test_a_killed_domain_is_finished_by_its_run_and_draws_no_noise_twice(people, where, counts, spends):
    assert people.run(*LEARN, faults=[where]).status == -signal.SIGKILL
    book = people.book()
    book.check()
    assert book.counts == counts
    assert not (people.folder / "learnt.toml").exists()
    kept = book.values
    people.finishes(*LEARN)
    book = people.book()
    book.check()
    assert book.counts == (spends, 2)
    assert {key: book.values[key] for key in kept} == kept


def test_a_killed_save_of_a_zip_leaves_no_zip_and_is_finished_by_its_run(people):
    zipped = (*EMBED[:-1], "p.zip")
    assert people.run(*zipped, faults=[kill(DURABLY, "half", 5)]).status == -signal.SIGKILL
    assert not (people.folder / "p.zip").exists()
    kept = people.book().values
    people.finishes(*zipped)
    assert people.book().values == kept
    assert people.book().counts == (2, 2)


def test_an_embedding_that_was_saved_before_the_kill_is_the_one_of_the_ledger(people):
    assert people.run(*EMBED, faults=[kill(SAVE, "after")]).status == -signal.SIGKILL
    for options in ((), ("--overwrite",)):
        book = people.book()
        assert book.counts == (2, 2)
        assert people.sums("p.embedding") == [book.values["r", 0], book.values["r", 1]]
        assert people.run(*EMBED, *options).status == (0 if options else 2)


def test_a_run_whose_lost_noise_cannot_be_paid_again_is_refused_and_says_what_remains(make):
    people = make(1.0)
    assert people.run(*EMBED, faults=[kill(SPEND, "after", 2)]).status == -signal.SIGKILL
    assert "remains of epsilon 1" in people.refuses(*EMBED)
    people.book().check()
    assert people.book().counts == (2, 1)


@pytest.mark.parametrize(
    ("where", "counts", "spends"),
    [row[1:] for row in WHILE_MEASURING if row[0] in NAMES[4:6] + NAMES[10:]],
    ids=[name for name in NAMES if name in NAMES[4:6] + NAMES[10:]],
)
def test_a_killed_synthesize_is_finished_by_its_run_in_the_same_folder(people, where, counts, spends):
    assert people.run(*SYNTHESIZE, "--no-report", faults=[where]).status == -signal.SIGKILL
    people.check_files("run/release")
    book = people.book()
    book.check()
    assert book.counts == counts
    kept = book.values
    people.finishes(*SYNTHESIZE, "--no-report")
    book = people.book()
    book.check()
    assert book.counts == (spends, 2)
    assert {key: book.values[key] for key in kept} == kept
    assert people.sums("run/release/embedding") == [book.values["r", 0], book.values["r", 1]]
    check_release(people)


def test_a_synthesize_killed_while_it_notes_its_records_is_finished_by_the_same_run(people):
    where = kill(DURABLY, "half", 5)
    assert people.run(*SYNTHESIZE, "--no-report", faults=[where]).status == -signal.SIGKILL
    assert not (people.folder / "run" / "release" / "embedding").exists()
    book = people.book()
    assert book.counts == (2, 2)
    left = [path.name for path in (people.folder / "run" / "private").iterdir()]
    assert len(left) == 1
    assert left[0].endswith(".partial")  # so it was this file
    people.finishes(*SYNTHESIZE, "--no-report")
    assert people.book() == book
    check_release(people)


def check_release(people) -> None:
    people.check_files("run/release", "run/private")
    assert sorted(path.name for path in (people.folder / "run" / "release").iterdir()) == RELEASE
    assert people.hidden() == []


# where, whether with the private report
WHILE_RELEASING = {
    "embedding saved": (kill(SAVE, "after"), "--no-report"),
    "training": (kill(STEP, "after", 2), "--no-report"),
    "trained, not saved": (kill(SAVE_GENERATOR, "before"), "--no-report"),
    "manifest of the generator half written": (kill(BYTES, "half", 5), "--no-report"),
    "weights of the generator half written": (kill(BYTES, "half", 8), "--no-report"),
    "generator written, not in place": (kill(IN_PLACE, "before", 2), "--no-report"),
    "generator saved": (kill(SAVE_GENERATOR, "after"), "--no-report"),
    "in the middle of the csv": (kill("pandas:DataFrame.to_csv", "after"), "--no-report"),
    "csv written, not in place": (kill("keshi.records.table_output:_write_csv", "after"), "--no-report"),
    "csv in place": (kill(TABLE, "after"), "--no-report"),
    "statement half written": (kill(DURABLY, "half", 6), "--no-report"),
    "card half written": (kill(DURABLY, "half", 7), "--no-report"),
    "auditing": (kill("keshi.auditing.table_audit:audit_table", "before"), "--report"),
    "mark of the run half written": (kill(DURABLY, "half", 8), "--report"),
    "report half written": (kill(DURABLY, "half", 9), "--report"),
    "figures of the report half written": (kill(DURABLY, "half", 10), "--report"),
}


@pytest.mark.parametrize("name", WHILE_RELEASING)
def test_a_killed_synthesize_goes_on_with_its_embedding_and_pays_nothing_again(people, name):
    where, report = WHILE_RELEASING[name]
    assert people.run(*SYNTHESIZE, report, faults=[QUICK, where]).status == -signal.SIGKILL
    people.check_files("run/release", "run/private")
    book = people.book()
    book.check()
    assert book.counts == (2, 2)
    assert "add --resume" in people.run(*SYNTHESIZE, report).said
    people.finishes(*SYNTHESIZE, report, "--resume", faults=[QUICK])
    assert people.book() == book
    assert people.sums("run/release/embedding") == [book.values["r", 0], book.values["r", 1]]
    check_release(people)
    assert (people.folder / "run" / "private" / "report.json").exists() == (report == "--report")


def test_a_resumed_run_that_is_killed_while_it_replaces_the_generator_can_be_resumed_again(people):
    people.finishes(*SYNTHESIZE, "--no-report")
    killed = people.run(*SYNTHESIZE, "--no-report", "--resume", faults=[kill("os:rename", "after")])
    assert killed.status == -signal.SIGKILL
    assert not (people.folder / "run" / "release" / "generator").exists()
    people.finishes(*SYNTHESIZE, "--no-report", "--resume")
    check_release(people)
    assert people.book().counts == (2, 2)


TRAIN = ("train", "p.embedding", "--steps", 3, "-o", "new.generator")


@pytest.mark.parametrize(
    "where",
    [
        kill("keshi.synthesis.private_embedding:PrivateEmbedding.load", "after"),
        kill(STEP, "after", 2),
        kill(SAVE_GENERATOR, "before"),
        kill(BYTES, "half"),
        kill(BYTES, "half", 4),
        kill(IN_PLACE, "before"),
    ],
    ids=["embedding read", "training", "trained, not saved", "manifest half", "weights half", "not in place"],
)
def test_a_killed_train_leaves_no_generator_and_the_next_is_as_if_nothing_had_been(copied, workshop, where):
    assert copied.run(*TRAIN, faults=[where]).status == -signal.SIGKILL
    assert not (copied.folder / "new.generator").exists()
    assert all(path.endswith(".partial") for path in copied.hidden())
    copied.finishes(*TRAIN)
    assert same_files(copied.folder / "new.generator", workshop / "p.generator")


def test_a_train_killed_while_it_replaces_a_generator_leaves_both_beside_the_place(copied, workshop):
    replace = ("train", "p.embedding", "--steps", 3, "-o", "p.generator", "--overwrite")
    assert copied.run(*replace, faults=[kill("os:rename", "after")]).status == -signal.SIGKILL
    beside = [path for path in copied.folder.iterdir() if path.name.startswith(".")]
    assert len(beside) == 2
    assert all(same_files(path, workshop / "p.generator") for path in beside)
    copied.finishes(*replace)
    assert same_files(copied.folder / "p.generator", workshop / "p.generator")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("s2.csv", kill("pandas:DataFrame.to_csv", "before")),
        ("s2.csv", kill("pandas:DataFrame.to_csv", "after")),
        ("s2.csv", kill("keshi.records.table_output:_write_csv", "after")),
        ("s2.csv.gz", kill("pandas:DataFrame.to_csv", "after")),
        ("s2.parquet", kill("pyarrow.parquet:ParquetWriter.write_table", "after")),
        ("s2.parquet", kill("keshi.records.table_output:_write_parquet", "after")),
    ],
    ids=[
        "csv, drawn",
        "csv, half",
        "csv, not in place",
        "csv.gz, half",
        "parquet, half",
        "parquet, not in place",
    ],
)
def test_a_killed_sample_leaves_no_table_and_the_next_is_as_if_nothing_had_been(
    copied, workshop, name, where
):
    sample = ("sample", "p.generator", "--rows", 60, "-o", name)
    assert copied.run(*sample, faults=[where]).status == -signal.SIGKILL
    assert not (copied.folder / name).exists()
    assert all(path.endswith(".partial") for path in copied.hidden())
    copied.finishes(*sample)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    pd.testing.assert_frame_equal(
        read(copied.folder / name), pd.read_csv(workshop / "s.csv"), check_dtype=False
    )


def test_a_ledger_create_killed_before_the_domain_names_it_leads_to_no_spend_outside_the_ledger(people):
    (people.folder / "people.ledger").rename(people.folder / "old.ledger")
    text = people.folder / "people.toml"
    text.write_text("".join(line for line in text.read_text().splitlines(True) if "ledger" not in line))
    create = ("ledger", "create", "people.toml", "--epsilon", 3)
    where = kill("keshi.artifacts.store:write_atomically", "before")
    assert people.run(*create, faults=[where]).status == -signal.SIGKILL
    said = people.refuses(*EMBED)
    assert "which names no ledger" in said
    assert people.book().draws == ()
    line = said[said.index('ledger = "') :].split('"')[1]
    text.write_text(text.read_text().replace("label", f'ledger = "{line}"\nlabel', 1))
    people.finishes(*EMBED)
    assert people.book().counts == (2, 2)


def same_files(folder, other) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
