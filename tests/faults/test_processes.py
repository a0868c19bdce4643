"""Two commands on one ledger at once, a fork after a release, and Ctrl-C."""

from __future__ import annotations

import json
from typing import Any

import pytest

SPEND = "keshi.privacy.ledger:PrivacyLedger.spend"
STEP = "keshi.synthesis.reconstruction:discrepancies"
SAVE = "keshi.synthesis.private_embedding:PrivateEmbedding.save"


def embed(name: str, epsilon: float, *, run: str = "") -> tuple[object, ...]:
    table = ("embed", "people.csv", "--domain", "people.toml", "--preset", "paper")
    return (*table, "--epsilon", epsilon, "--run", run or name, "-o", name)


def together(people, first: tuple[object, ...], second: tuple[object, ...]) -> list[Any]:
    """Both commands, each of which waits with its first spend until the other is as far."""
    places = [str(people.folder / name) for name in ("one is here", "two is here")]
    pids = [
        people.start(
            *command,
            faults=[{"at": SPEND, "when": "before", "do": "meet", "here": here, "others": places}],
        )
        for command, here in zip((first, second), places, strict=True)
    ]
    return [people.wait(pid) for pid in pids]


def test_of_two_that_want_the_whole_budget_at_once_one_gets_it_and_the_other_spends_nothing(make):
    people = make(1.0)
    ended = together(people, embed("a", 1), embed("b", 1))
    assert sorted(end.status for end in ended) == [0, 2]
    assert "remains of epsilon 1" in next(end.said for end in ended if end.status == 2)
    book = people.book()
    book.check()
    assert book.counts == (2, 2)
    assert {name for name in "ab" if (people.folder / name).exists()} == {run for run, _ in book.values}


def test_one_that_comes_between_the_two_spends_of_another_cannot_take_what_that_still_needs(make):
    people = make(1.0)
    here, go = (people.folder / name for name in ("first has spent", "go"))
    pause = {"at": SPEND, "when": "after", "do": "meet", "here": str(here), "others": [str(here), str(go)]}
    first = people.start(*embed("a", 1), faults=[pause])
    meet = {"at": SPEND, "when": "before", "do": "meet", "here": str(go) + "?", "others": [str(here)]}
    second = people.run(*embed("b", 1), faults=[meet])
    go.touch()
    assert second.status == 2
    assert "and the rest of the run' asks for epsilon 1" in second.said
    assert people.wait(first).status == 0
    assert people.book().counts == (2, 2)


def test_a_release_that_is_refused_has_spent_nothing(make):
    people = make(1.0)
    people.finishes(*embed("a", 0.5))
    before = people.book()
    assert "Nothing was spent" in people.refuses(*embed("b", 0.95))
    assert people.book() == before
    people.finishes(*embed("b", 0.8))


def test_two_that_want_half_of_the_budget_at_once_both_get_it_with_noise_of_their_own(make):
    people = make(1.0)
    assert [end.status for end in together(people, embed("a", 0.65), embed("b", 0.65))] == [0, 0]
    book = people.book()
    book.check()
    assert book.counts == (4, 4)
    assert people.sums("a") == [book.values["a", 0], book.values["a", 1]]
    assert people.sums("b") == [book.values["b", 0], book.values["b", 1]]
    assert len(set(book.values.values())) == 4


def test_one_run_in_two_processes_at_once_gives_one_value_and_the_ledger_counts_both_draws(people):
    ended = together(people, embed("a", 1, run="r"), embed("b", 1, run="r"))
    assert 0 in [end.status for end in ended]
    assert all(end.status in (0, 2) and "Traceback" not in end.said for end in ended)
    book = people.book()
    book.check()
    assert len(book.values) == 2
    for name, end in zip("ab", ended, strict=True):
        assert (people.folder / name).exists() == (end.status == 0)
        if end.status == 0:
            assert people.sums(name) == [book.values["r", 0], book.values["r", 1]]


def test_children_forked_after_a_release_draw_noise_of_their_own(people):
    drawn = [json.loads(line) for line in people.finishes("fork").splitlines()]
    assert len(drawn) == 4
    assert len({tuple(noise) for noise in drawn}) == 4
    for coordinate in range(8):  # no stream is another one shifted or copied in part
        assert len({noise[coordinate] for noise in drawn}) == 4


SYNTHESIZE = ("synthesize", "people.csv", "--domain", "people.toml", "--preset", "paper",
              "--epsilon", 1, "--run", "r", "--steps", 3,
              "--rows", 60, "-o", "run", "--no-report")  # fmt: skip


@pytest.mark.parametrize(
    ("command", "at", "nth", "again"),
    [
        (embed("a", 1), SPEND, 1, embed("a", 1)),
        (embed("a", 1), SAVE, 1, embed("a", 1)),
        (embed("a", 1), "pathlib:Path.write_bytes", 2, embed("a", 1)),
        (SYNTHESIZE, STEP, 2, (*SYNTHESIZE, "--resume")),
        (SYNTHESIZE, "pathlib:Path.write_bytes", 6, (*SYNTHESIZE, "--resume")),
        (SYNTHESIZE, "keshi.records.table_output:_write_csv", 1, (*SYNTHESIZE, "--resume")),
    ],
    ids=["spending", "measured", "saving", "training", "saving the generator", "writing the csv"],
)
def test_ctrl_c_ends_with_status_130_and_leaves_nothing_half_written(people, command, at, nth, again):
    ended = people.run(*command, faults=[{"at": at, "when": "after", "nth": nth, "do": "interrupt"}])
    assert ended.status == 130, ended
    assert "interrupted" in ended.said
    assert "Traceback" not in ended.said
    assert people.hidden() == []
    if (people.folder / "run").exists():
        people.check_files("run/release", "run/private")
    book = people.book()
    book.check()
    if at == SAVE:
        assert (people.folder / "a").exists()
        return
    assert not (people.folder / "a").exists()
    people.finishes(*again)
    assert people.book().values.items() >= book.values.items()
    people.book().check()


def test_ctrl_c_during_train_leaves_no_generator(copied):
    train = ("train", "p.embedding", "--steps", 3, "-o", "new")
    ended = copied.run(*train, faults=[{"at": STEP, "when": "after", "nth": 2, "do": "interrupt"}])
    assert (ended.status, "Traceback" in ended.said) == (130, False)
    assert not (copied.folder / "new").exists()
    assert copied.hidden() == []
    copied.finishes(*train)
