"""SIGKILL at every phase boundary of the commands that spend or write: see the privacy notes, "ledger first".

Each row of a table is one case: where it is killed, and how many spends and noisy values the ledger holds then.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest

EMBED = ("embed", "people.csv", "--domain", "people.toml", "--epsilon", 1, "--run", "r", "-o", "p.embedding")


def kill(at: str, when: str, nth: int = 1) -> dict[str, Any]:
    return {"at": at, "when": when, "nth": nth, "do": "kill"}


SPEND, STORE = "keshi.privacy.ledger:PrivacyLedger.spend", "keshi.privacy.ledger:PrivacyLedger.store"
NOISE = "keshi.privacy.mechanisms:discrete_gaussian"
DURABLY, IN_PLACE = "keshi.artifacts.atomic:_write_durably", "keshi.artifacts.atomic:_put_in_place"
SAVE = "keshi.synthesis.private_embedding:PrivateEmbedding.save"

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
    ("manifest of the embedding half written", kill("pathlib:Path.write_bytes", "half"), (2, 2), 2),
    ("second file of the embedding half written", kill("pathlib:Path.write_bytes", "half", 2), (2, 2), 2),
    ("embedding written, not in place", kill(IN_PLACE, "before"), (2, 2), 2),
]
NAMES = [row[0] for row in WHILE_MEASURING]


def check_after_kill(people, counts, known) -> None:
    book = people.book()
    book.check()
    assert book.counts == counts
    assert {key: book.values[key] for key in known} == known


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


LEARN = ("domain", "people.csv", "--epsilon", 1, "--ledger", "people.ledger", "--run", "r", "-o", "learnt.toml")


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
