"""PrivacyLedger: the budget of a data set, and everything that was ever spent of it.

The budget is (epsilon, delta). Spends are Gaussian measurements; each has a mu, which composes as
mu_total = sqrt(sum of mu^2) (Dong, Roth and Su 2022, Corollary 3.3), and a delta slack (how far the discrete
noise lies from the continuous one). A spend is affordable while the total mu is at most the largest one whose
guarantee is (epsilon, delta - all slacks).

What is detected and refused: an edited entry, a rolled-back file, two copies spending separately, a replayed
run, a connection carried over a fork, a ledger unknown to this machine. What cannot be: the ledger and the
state of this machine restored together to the past, a copy adopted by another machine that goes on spending
there, and an owner who creates a second ledger for the same data.
May import the standard library, keshi.artifacts, keshi.errors and the other ledger files; nothing heavy.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keshi._validate import in_range, positive
from keshi.errors import BudgetError
from keshi.privacy.ledger_amounts import Amount, amount_remaining, amount_spent, refuse_overspending
from keshi.privacy.ledger_file import Entry, LedgerFile, create_file, next_entry
from keshi.privacy.ledger_rules import next_attempt, of_measurement, refuse_other_unit, refuse_second_value
from keshi.privacy.ledger_state import LedgerState, state_folder

TIMEOUT = 30.0  # seconds to wait for another process; a spend takes milliseconds
IN_MEMORY = "in-memory"  # its id; such a ledger has no clock either, so that tests can compare its entries


@dataclass(frozen=True)
class Receipt:
    """Proof that a spend is on the disk; the noisy value may be drawn now, once."""

    ledger: str
    run: str
    index: int
    attempt: int
    number: int
    hash: str
    mu: float
    delta_slack: float


class PrivacyLedger:
    """The budget of one data set, in one append-only file; make it with create, open, adopt or in_memory.

    Example:
        >>> ledger = PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5)
        >>> receipt = ledger.spend(run="first", index=0, what="embedding", mu=0.1)
        >>> ledger.store(receipt, b"the noisy value")
        >>> ledger.stored("first", 0)
        b'the noisy value'
    """

    def __init__(self, file: LedgerFile, state: LedgerState | None, *, identity: str) -> None:
        self._file = file
        self._state = state
        self.id = identity

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        epsilon: float,
        delta: float,
        dataset: str = "",
        unit: str = "",
        state: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT,
    ) -> PrivacyLedger:
        """Give a data set its budget, once; refuses to replace a ledger.

        Args:
            path: the new file.
            epsilon: the whole budget, for everything that is ever released of this data set.
            delta: its delta, strictly between 0 and 1.
            dataset: what the data set is called.
            unit: the privacy unit, as `PrivacyUnit.describe` says it; empty: the first spend decides.
            state: folder of this machine's memory of ledgers; see ledger_state.state_folder.
            timeout: seconds to wait for another process.
        """
        target = Path(os.path.abspath(path))
        if os.path.lexists(target):
            raise BudgetError(f"{target} exists; a data set gets its budget once. See `keshi ledger show`.")
        if not target.parent.is_dir():
            raise BudgetError(f"{target} cannot be created: the folder {target.parent} does not exist.")
        identity = secrets.token_hex(16)
        fields = _budget(epsilon, delta) | {"id": identity, "dataset": dataset, "unit": unit, "at": _now()}
        memory = LedgerState(state_folder(state), identity, timeout=timeout)
        create_file(target, fields, remember=memory.write, timeout=timeout)
        return cls.open(target, state=state, timeout=timeout)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        expected_id: str | None = None,
        state: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT,
    ) -> PrivacyLedger:
        """Open a ledger and verify all of it.

        Args:
            path: the file that `create` made.
            expected_id: the id that the domain file names; another ledger is refused.
            state: as in `create`.
            timeout: seconds to wait for another process.

        Raises:
            BudgetError: it is no ledger, another one, altered, not the newest copy, or unknown to this
            machine.
        """
        ledger = cls._open_unchecked(path, state=state, timeout=timeout)
        assert ledger._state is not None
        if expected_id is not None and ledger.id != expected_id:
            raise BudgetError(
                f"{path} is the ledger {ledger.id}, but the domain file names {expected_id}. Give the "
                "ledger that was created for this data set."
            )
        with ledger._file.reading() as chain:
            if not ledger._state.exists():
                raise BudgetError(
                    f"{path} is unknown to this machine: {ledger._state.path} does not exist, so nobody can "
                    "tell whether this is the newest copy. If it is, and no other copy will spend any "
                    f"more, run: keshi ledger adopt {path}"
                )
            ledger._state.verify(chain, ledger=path)
            ledger._file.verify_payloads(chain)
        return ledger

    @classmethod
    def adopt(
        cls,
        path: str | os.PathLike[str],
        *,
        state: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT,
    ) -> PrivacyLedger:
        """Take over a ledger that was moved to this machine, on the owner's word that it is the newest copy.

        The adoption becomes an entry. A ledger that this machine knows is verified as `open` does, never
        reset.
        """
        ledger = cls._open_unchecked(path, state=state, timeout=timeout)
        assert ledger._state is not None
        if ledger._state.exists():
            return cls.open(path, state=state, timeout=timeout)
        with ledger._state.lock():
            with ledger._file.writing() as chain:
                ledger._file.verify_payloads(chain)
                entry, body = next_entry(chain, "adopted", {"at": _now()})
                ledger._file.append(entry, body)
            ledger._state.write(entry)
        return ledger

    @classmethod
    def in_memory(cls, *, epsilon: float, delta: float) -> PrivacyLedger:
        """A throw-away ledger for one fit, an audit or a test: the same rules, and nothing on the disk."""
        file = LedgerFile(None, timeout=TIMEOUT)
        file.begin(_budget(epsilon, delta) | {"id": IN_MEMORY})
        return cls(file, None, identity=IN_MEMORY)

    @classmethod
    def _open_unchecked(
        cls, path: str | os.PathLike[str], *, state: str | os.PathLike[str] | None, timeout: float
    ) -> PrivacyLedger:
        source = Path(path)
        if not source.is_file():
            raise BudgetError(
                f"there is no ledger {path}. Run `keshi ledger create` once, or check the path."
            )
        file = LedgerFile(source, timeout=timeout)
        try:
            with file.reading() as chain:
                identity = str(chain[0].fields.get("id"))
            if not re.fullmatch("[0-9a-f]{32}", identity):  # it becomes a file name
                raise BudgetError(f"{path} has the id {identity!r}; expected 32 hexadecimal digits.")
        except BaseException:
            file.close()
            raise
        return cls(file, LedgerState(state_folder(state), identity, timeout=timeout), identity=identity)

    def spend(
        self,
        *,
        run: str,
        index: int,
        what: str,
        mu: float,
        delta_slack: float = 0.0,
        delta_threshold: float = 0.0,
        plan: str = "",
        unit: str = "",
        outstanding: float | None = None,
        statement: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Write a spend to the disk; only after it returned may the noisy value be drawn.

        A spend whose value was never stored (a crash between) may be repeated: it is paid again, as a new
        attempt, because nobody knows what became of the first value.

        Args:
            run: the id of the run; a resumed run keeps it.
            index: the place of the measurement in the run, from 0.
            what: the measurement, in words; must not depend on the records.
            mu: sensitivity / noise_std of the measurement, rounded up.
            delta_slack: its share of delta, rounded up, computed at the epsilon of the whole budget.
            delta_threshold: the delta of a threshold; a field of the lines that have one.
            plan: hash of the measurement's plan; the same run and index with another plan is refused.
            unit: whom the measurement protects, as `PrivacyUnit.describe` says it; all spends of a ledger agree.
            outstanding: mu of all that the run has still to spend, this measurement with it; refused unless all of
                it is affordable now, because half a run is money for nothing.
            statement: further public facts for the line (JSON values).

        Raises:
            BudgetError: not affordable, already released, another plan, or the ledger cannot be trusted or
            written.
        """
        positive("mu", mu)
        in_range("delta_slack", delta_slack, 0.0, 1.0)
        in_range("delta_threshold", delta_threshold, 0.0, 1.0)
        in_range("index", index, 0, 2**53)
        fields: dict[str, Any] = {
            "run": run,
            "index": index,
            "what": what,
            "mu": float(mu),
            "delta_slack": float(delta_slack),
        }
        if delta_threshold:
            fields["delta_threshold"] = float(delta_threshold)
        fields |= {"plan": plan, "unit": unit, "statement": dict(statement or {}), "at": self._now()}

        def check(chain: list[Entry]) -> dict[str, Any]:
            attempt = next_attempt(chain, run, index, plan=plan)
            refuse_other_unit(chain, unit)
            refuse_overspending(
                chain,
                mu=max(mu, outstanding or 0.0),
                delta_slack=delta_slack,
                delta_threshold=delta_threshold,
                what=what if (outstanding or 0.0) <= mu else f"{what} and the rest of the run",
            )
            return fields | {"attempt": attempt}

        entry = self._append("spend", check)
        attempt = entry.fields["attempt"]
        return Receipt(self.id, run, index, attempt, entry.number, entry.hash, float(mu), float(delta_slack))

    def store(self, receipt: Receipt, payload: bytes) -> None:
        """Keep the noisy value of a spend, so that a resumed run never draws a second one."""

        def check(chain: list[Entry]) -> dict[str, Any]:
            if not (receipt.number < len(chain) and chain[receipt.number].hash == receipt.hash):
                raise BudgetError(f"the receipt of run {receipt.run!r} is of another ledger; not stored.")
            refuse_second_value(chain, receipt.run, receipt.index)
            key = {"run": receipt.run, "index": receipt.index, "spend": receipt.hash, "at": self._now()}
            return key | {"sha256": hashlib.sha256(payload).hexdigest()}

        self._append("value", check, payload=bytes(payload))

    def stored(self, run: str, index: int, *, plan: str | None = None) -> bytes | None:
        """The noisy value kept for a measurement, or None; refused where `plan` is another one."""
        with self._file.reading() as chain:
            found = of_measurement(chain, "value", run, index)
            if not found:
                return None
            plans = {entry.fields["plan"] for entry in of_measurement(chain, "spend", run, index)}
            if plan is not None and plans != {plan}:
                raise BudgetError(f"run {run!r}, measurement {index} has another plan. Start a new run.")
            return self._file.payload(found[0])

    def spent(self) -> Amount:
        """All that was spent, whether or not its value was kept; epsilon is rounded up."""
        return amount_spent(self.entries())

    def remaining(self) -> Amount:
        """What one further measurement may spend; 0 where nothing remains. Rounded down."""
        return amount_remaining(self.entries())

    def entries(self) -> tuple[Entry, ...]:
        """The whole chain, verified; entry 0 is the budget."""
        with self._file.reading() as chain:
            return tuple(chain)

    @property
    def budget(self) -> dict[str, Any]:
        """Epsilon and delta, and for a ledger on disk id, dataset, unit and date."""
        return dict(self.entries()[0].fields)

    @property
    def head(self) -> str:
        """The hash of the newest entry; it stands for the whole history and belongs in every statement."""
        return self.entries()[-1].hash

    def knows(self, head: str) -> bool:
        """Whether the head in somebody's statement is part of this ledger's history."""
        return any(entry.hash == head for entry in self.entries())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> PrivacyLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> str:
        return "" if self._state is None else _now()

    def _append(self, kind: str, check: Any, *, payload: bytes | None = None) -> Entry:
        """Append what `check` allows for the newest chain, in the order that ledger_state explains."""
        lock: AbstractContextManager[None] = nullcontext() if self._state is None else self._state.lock()
        with lock:
            with self._file.writing() as chain:
                if self._state is not None:
                    self._state.verify(chain, ledger=self._file.path)
                entry, body = next_entry(chain, kind, check(chain))
                self._file.append(entry, body, payload=payload)
            if self._state is not None:
                self._state.write(entry)
        return entry


def _budget(epsilon: float, delta: float) -> dict[str, Any]:
    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    return {"epsilon": float(epsilon), "delta": float(delta)}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
