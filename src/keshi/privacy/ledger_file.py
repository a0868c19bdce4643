"""The ledger's SQLite file: an append-only chain of entries, each with the hash of the one before.

One row per entry: its number, its body (canonical JSON that holds `previous`, the hash of the entry before)
and the sha256 of the body. Noisy values lie beside it, each named by the hash in a `value` entry.
Triggers abort UPDATE and DELETE; whoever drops them still breaks the chain.
May import the standard library, keshi.artifacts and keshi.errors.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keshi.artifacts.atomic import fsync_folder
from keshi.artifacts.store import json_from_bytes, json_to_bytes
from keshi.errors import ArtifactError, BudgetError

APPLICATION = 0x6B657368  # "kesh", in SQLite's header field for such marks
VERSION = 1
FIRST = "0" * 64  # stands for the hash before the first entry
TABLES = ("entries", "noisy_values")
SCHEMA = (
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE noisy_values (entry INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
    *(
        f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'the "
        "ledger is append-only'); END"
        for table in TABLES
        for what in ("UPDATE", "DELETE")
    ),
)
KINDS = ("budget", "spend", "value", "adopted")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: its place in the chain; entry 0 is the budget.
        kind: "budget", "spend", "value" (the noisy value of a spend was kept) or "adopted" (by another
        machine).
        fields: what it says; for a spend: run, index, attempt, what, mu, delta_slack, plan, statement, at,
            and delta_threshold where there is one.
        previous: the hash of the entry before.
        hash: sha256 of all this.
    """

    number: int
    kind: str
    fields: dict[str, Any]
    previous: str
    hash: str


def next_entry(chain: list[Entry], kind: str, fields: Mapping[str, Any]) -> tuple[Entry, str]:
    """The entry that would follow `chain`, and its body as it is written."""
    previous = chain[-1].hash if chain else FIRST
    number = len(chain)
    body = {"fields": dict(fields), "kind": kind, "number": number, "previous": previous}
    text = json_to_bytes(body, source="the ledger entry").decode()
    return Entry(number, kind, dict(fields), previous, hashlib.sha256(text.encode()).hexdigest()), text


class LedgerFile:
    """One connection to the SQLite file, of one process; `path` None is a ledger in memory."""

    def __init__(self, path: Path | None, *, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        with self._plain_errors("opened"):
            self._connection = self._connect()

    def begin(self, fields: Mapping[str, Any]) -> Entry:
        """Make an empty file into a ledger whose first entry, the budget, says `fields`."""
        entry, body = next_entry([], "budget", fields)
        with self._plain_errors("created"):
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self.append(entry, body)
            self._connection.execute("COMMIT")
        return entry

    @contextmanager
    def reading(self) -> Iterator[list[Entry]]:
        """The verified chain, with writers kept out meanwhile."""
        with self._transaction("BEGIN") as chain:
            yield chain

    @contextmanager
    def writing(self) -> Iterator[list[Entry]]:
        """The verified chain, alone with it; what is appended is on the disk when the block has ended."""
        with self._transaction("BEGIN EXCLUSIVE") as chain:
            yield chain

    def append(self, entry: Entry, body: str, *, payload: bytes | None = None) -> None:
        """Add an entry made by next_entry; only inside `writing`."""
        row = (entry.number, body, entry.hash)
        self._connection.execute("INSERT INTO entries (number, body, hash) VALUES (?, ?, ?)", row)
        if payload is not None:
            self._connection.execute("INSERT INTO noisy_values VALUES (?, ?)", (entry.number, payload))

    def payload(self, entry: Entry) -> bytes:
        """The noisy value that a `value` entry names; only inside `reading` or `writing`."""
        row = self._connection.execute(
            "SELECT payload FROM noisy_values WHERE entry = ?", (entry.number,)
        ).fetchone()
        if row is None or not isinstance(row[0], bytes) or _sha256(row[0]) != entry.fields["sha256"]:
            raise self._altered(f"the noisy value of entry {entry.number}")
        return row[0]

    def verify_payloads(self, chain: list[Entry]) -> None:
        """Check every kept noisy value against its hash, and that there are no others."""
        entries = [entry for entry in chain if entry.kind == "value"]
        for entry in entries:
            self.payload(entry)
        if self._connection.execute("SELECT count(*) FROM noisy_values").fetchone()[0] != len(entries):
            raise self._altered("the list of noisy values")

    def close(self) -> None:
        """Let go of the file. In a forked child this does nothing: the connection is the parent's."""
        if os.getpid() == self._process:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self.path is None:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            mode = "rw" if os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK) else "ro"
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,  # transactions begin and end where this file says so
                check_same_thread=False,  # threads take turns through our own lock
                timeout=self.timeout,
            )
            connection.execute("PRAGMA journal_mode = DELETE")
        # EXTRA is FULL and one fsync more: after FULL alone a power cut may bring the deleted rollback
        # journal back, and with it undo a spend that was reported as written.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[list[Entry]]:
        if os.getpid() != self._process:
            raise BudgetError(
                f"{self._name()} was opened in process {self._process} and is used in {os.getpid()}, after "
                "a fork; two processes must not share one connection. Open the ledger again in the new "
                "process."
            )
        with self._lock, self._plain_errors("used"):
            self._connection.execute(begin)
            try:
                yield self._read_chain()
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _read_chain(self) -> list[Entry]:
        mark = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if mark != APPLICATION:
            raise BudgetError(
                f"{self._name()} is no keshi ledger. Check the path, or run `keshi ledger create`."
            )
        if version != VERSION:
            raise BudgetError(
                f"{self._name()} has the version {version}; this keshi reads {VERSION}. Use the keshi that "
                "wrote it."
            )
        schema = {row[0] for row in self._connection.execute("SELECT sql FROM sqlite_master")}
        if schema != set(SCHEMA):
            raise self._altered("the table definition")
        chain: list[Entry] = []
        rows = self._connection.execute("SELECT number, body, hash FROM entries ORDER BY number").fetchall()
        for number, body, digest in rows:
            try:
                parsed = json_from_bytes(body.encode(), source=f"entry {number}")
                entry, text = next_entry(chain, parsed["kind"], parsed["fields"])
            except (ArtifactError, AttributeError, KeyError, TypeError, ValueError) as error:
                raise self._altered(f"entry {number}") from error
            if (number, body, digest) != (entry.number, text, entry.hash) or entry.kind not in KINDS:
                raise self._altered(f"entry {number}")
            chain.append(entry)
        if not chain or [entry.kind for entry in chain].count("budget") != 1 or chain[0].kind != "budget":
            raise self._altered("entry 0, the budget,")
        return chain

    def _altered(self, what: str) -> BudgetError:
        return BudgetError(
            f"{self._name()} was altered: {what} does not fit the hash chain, so what has been spent is not "
            "known. Nothing is spent from it. Restore the newest sound copy."
        )

    def _name(self) -> str:
        return "the ledger in memory" if self.path is None else f"the ledger {self.path}"

    @contextmanager
    def _plain_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            problem = str(error)
            if "locked" in problem or "busy" in problem:
                advice = f"another process has held it for {self.timeout:g} seconds. Wait for it, or stop it."
            elif "readonly" in problem or "unable to open" in problem:
                advice = "the file or its folder cannot be written. Make both writable for this user."
            elif "full" in problem or "I/O" in problem or "too big" in problem:
                advice = "the disk is full or failing. Nothing may be released; make room and start again."
            else:
                advice = "it is not a sound ledger file. Check the path, or restore the newest sound copy."
            raise BudgetError(f"{self._name()} cannot be {verb} ({problem}): {advice}") from error


def create_file(
    target: Path, fields: Mapping[str, Any], *, remember: Callable[[Entry], None], timeout: float
) -> None:
    """Make a new ledger file, whole or not at all; `remember` gets its first entry before it appears."""
    # Built under another name, so that a crash or a full disk leaves no half ledger, and linked into place,
    # because a link, unlike a rename, never replaces what another process created meanwhile.
    partial = target.parent / f".keshi-{secrets.token_hex(8)}.partial"
    try:
        partial.touch(exist_ok=False)
        file = LedgerFile(partial, timeout=timeout)
        try:
            first = file.begin(fields)
        finally:
            file.close()
        remember(first)
        os.link(partial, target)
        fsync_folder(target.parent)
    except FileExistsError:
        raise BudgetError(f"{target} was created by another process meanwhile.") from None
    except OSError as error:
        raise BudgetError(f"{target} cannot be created: {error}. Nothing was written.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
