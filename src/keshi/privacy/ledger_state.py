"""What this machine remembers of a ledger, so that an old copy cannot pass for the newest.

For each ledger one small JSON file, outside the ledger's folder: the number and the hash of its newest entry.
The order makes every crash safe:

    1. the ledger's commit     2. this file     3. only then may the noisy value be drawn

Stopped between 1 and 3, the spend counts and nothing was drawn. A ledger may therefore be longer than this file
knows, by such a crash or because another machine wrote more; nothing is missing then. One that does not hold the
known entry at its place was rolled back, or is a second copy that spent on its own. Ledger and state restored
together look like the past; no file can tell that apart.
May import the standard library, keshi.artifacts and keshi.errors.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keshi.artifacts.store import json_from_bytes, json_to_bytes, write_atomically
from keshi.errors import ArtifactError, BudgetError
from keshi.privacy.ledger_file import Entry

FORMAT = "keshi-ledger-state-1"


def state_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Where the states lie: `chosen`, else $KESHI_STATE, else keshi/ledgers in the user's state directory."""
    if chosen is not None:
        return Path(chosen)
    if "KESHI_STATE" in os.environ:
        return Path(os.environ["KESHI_STATE"])
    default = Path.home() / ".local" / "state"
    system = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or default
    return Path(system) / "keshi" / "ledgers"


class LedgerState:
    """The memory of one ledger; `identity` is the ledger's random id."""

    def __init__(self, folder: Path, identity: str, *, timeout: float) -> None:
        self.path = folder / f"{identity}.json"
        self.timeout = timeout

    def exists(self) -> bool:
        """Whether this machine has seen the ledger before."""
        return self.path.exists()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out other writers, also those of another copy of the file; freed when a process dies."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path.with_suffix(".lock"),
                isolation_level=None,
                timeout=self.timeout,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            try:
                # SQLite's lock on an empty file works on every system, and dies with its process
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error as error:
                if "locked" in str(error):
                    raise BudgetError(
                        "another process has been writing to this ledger, or to a copy of it, for "
                        f"{self.timeout:g} seconds. Wait for that run, or stop it."
                    ) from error
                raise self._unusable(error) from error
            yield
        finally:
            connection.close()

    def verify(self, chain: list[Entry], *, ledger: object) -> None:
        """Refuse a ledger that lacks what this machine has already seen of it."""
        number, head = self._read()
        if number < len(chain) and chain[number].hash == head:
            return
        if len(chain) <= number:
            what = f"entry {number} was written before and is not there: it was rolled back"
        else:
            what = f"its entry {number} is not the one written before: two copies spent separately"
        raise BudgetError(
            f"{ledger} is not the newest copy of this ledger: {what}, or a run in it is being replayed. "
            "Nothing is spent from it. Use the newest copy; if that is lost, take the budget of this data "
            "set as spent."
        )

    def write(self, newest: Entry) -> None:
        """Remember the newest entry."""
        memory = {"format": FORMAT, "head": newest.hash, "number": newest.number}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json_to_bytes(memory))
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> tuple[int, str]:
        try:
            memory = json_from_bytes(self.path.read_bytes(), source=str(self.path))
            if memory["format"] != FORMAT or not isinstance(memory["number"], int) or memory["number"] < 0:
                raise ValueError("it does not have the fields expected")
            return memory["number"], str(memory["head"])
        except OSError as error:
            raise self._unusable(error) from error
        except (ArtifactError, KeyError, TypeError, ValueError) as error:
            raise BudgetError(
                f"the state file {self.path} is damaged ({error}). Restore it; if you are certain that the "
                "ledger is the newest copy, move the state file away and run `keshi ledger adopt`."
            ) from error

    def _unusable(self, error: Exception) -> BudgetError:
        return BudgetError(
            f"the state file {self.path} cannot be used ({error}); without it an old copy of the ledger "
            "could pass for the newest. Nothing may be released. Make room or make the folder writable, or "
            "set KESHI_STATE."
        )
