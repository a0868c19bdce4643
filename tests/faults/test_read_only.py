"""Folders and ledgers that must not be written: refused before anything is spent."""

from __future__ import annotations

import pytest

EMBED = (
    "embed",
    "people.csv",
    "--domain",
    "people.toml",
    "--preset",
    "paper",
    "--epsilon",
    1,
    "--run",
    "new",
)
SYNTHESIZE = (
    "synthesize",
    "people.csv",
    "--domain",
    "people.toml",
    "--epsilon",
    1,
    "--no-report",
    "--steps",
    3,
)
LEARN = ("domain", "people.csv", "--epsilon", 0.5, "--ledger", "people.ledger")


@pytest.mark.parametrize(
    ("command", "locked"),
    [
        ((*EMBED, "-o", "locked/p.embedding"), "locked"),
        ((*EMBED, "-o", "locked/p.zip"), "locked"),
        ((*EMBED, "-o", "locked/release"), "locked/release"),
        ((*SYNTHESIZE, "-o", "locked/run"), "locked"),
        ((*SYNTHESIZE, "-o", "locked"), "locked/release"),
        ((*SYNTHESIZE, "-o", "locked"), "locked/private"),
        ((*LEARN, "-o", "locked/new.toml"), "locked"),
        (("train", "p.embedding", "--steps", 3, "-o", "locked/new.generator"), "locked"),
        (("sample", "p.generator", "--rows", 60, "-o", "locked/new.csv"), "locked"),
        (("ledger", "create", "locked/new.ledger", "--epsilon", 1), "locked"),
    ],
    ids=[
        "embed", "embed zip", "embed existing", "synthesize", "synthesize release", "synthesize private", "domain",
        "train", "sample", "ledger create",
    ],
)  # fmt: skip
def test_an_output_folder_that_is_read_only_is_refused_before_anything_is_spent(copied, command, locked):
    for folder in ("locked", "locked/release", "locked/private"):
        (copied.folder / folder).mkdir()
    before = copied.book()
    (copied.folder / locked).chmod(0o555)
    try:
        copied.refuses(*command, unprivileged=True)
    finally:
        (copied.folder / locked).chmod(0o755)
    assert [path.name for path in sorted((copied.folder / "locked").rglob("*"))] == ["private", "release"]
    assert copied.book() == before


@pytest.mark.parametrize(("locked", "mode"), [("people.ledger", 0o444), (".", 0o555), ("state", 0o555)])
def test_a_ledger_that_cannot_be_written_refuses_the_release_and_draws_no_noise(copied, locked, mode):
    (copied.folder / "out").mkdir()
    before = copied.book()
    (copied.folder / locked).chmod(mode)
    try:
        said = copied.refuses(*EMBED, "-o", "out/new", unprivileged=True)
    finally:
        (copied.folder / locked).chmod(0o755)
    assert "BudgetError" in said
    assert list((copied.folder / "out").iterdir()) == []
    assert copied.book() == before
    copied.finishes(*EMBED, "-o", "out/new")
