"""What the ledger promises: the budget is never exceeded, and a ledger that cannot be trusted is refused."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from keshi.errors import BudgetError
from keshi.privacy.accounting import delta_from_mu, mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.ledger_amounts import TOLERANCE
from keshi.privacy.ledger_file import next_entry

EPSILON, DELTA = 1.0, 1e-5


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("KESHI_STATE", str(folder))
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    created = tmp_path / "people.ledger"
    unit = "adding or removing one subject"
    PrivacyLedger.create(created, epsilon=EPSILON, delta=DELTA, dataset="people", unit=unit).close()
    return created


def exact_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang 2018, eq. 6, written down independently of keshi."""
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def exact_epsilon(mu: float, delta: float) -> float:
    return float(brentq(lambda epsilon: exact_delta(mu, epsilon) - delta, 0.0, 100.0, xtol=1e-13))


def spend(ledger: PrivacyLedger, mu: float, *, run: str = "run", index: int = 0, **more: object) -> object:
    return ledger.spend(run=run, index=index, what="embedding", mu=mu, **more)  # type: ignore[arg-type]


# --- the arithmetic --------------------------------------------------------------------------------------


def test_spends_compose_as_the_root_of_the_sum_of_squares_at_the_closed_forms_epsilon() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    for index, mu in enumerate((0.05, 0.1, 0.15)):
        spend(ledger, mu, index=index, delta_slack=1e-7)
    spent = ledger.spent()
    assert spent.mu == pytest.approx(math.sqrt(0.05**2 + 0.1**2 + 0.15**2), rel=1e-12)
    assert spent.delta_slack == pytest.approx(3e-7, rel=1e-12)
    true = exact_epsilon(spent.mu, DELTA - 3e-7)
    assert true <= spent.epsilon <= true * (1 + 1e-6)
    assert spent.measurements == 3


def test_what_remains_is_what_one_further_measurement_may_spend_and_not_more() -> None:
    for share in (0.05, 0.5, 0.999):
        ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
        whole = ledger.remaining()
        assert whole.epsilon == pytest.approx(EPSILON, rel=1e-7)
        assert whole.epsilon <= EPSILON
        spend(ledger, whole.mu * math.sqrt(share))
        left = ledger.remaining()
        assert left.mu == pytest.approx(whole.mu * math.sqrt(1 - share), rel=1e-9)
        with pytest.raises(BudgetError):
            spend(ledger, left.mu * (1 + 1e-6), index=1)
        spend(ledger, left.mu, index=1)
        assert (ledger.remaining().epsilon, ledger.remaining().mu) == (0.0, 0.0)


def test_the_budget_can_be_divided_into_shares_of_mu_squared_without_a_rest() -> None:
    for shares in ((0.05, 0.95), (0.15, 0.85), (0.1,) * 10, (1 / 3,) * 3):
        ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
        whole = mu_from_epsilon(EPSILON, DELTA)
        for index, share in enumerate(shares):
            spend(ledger, whole * math.sqrt(share), index=index)
        assert ledger.spent().epsilon <= EPSILON


def test_a_delta_slack_leaves_less_mu_and_can_exhaust_the_delta() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    whole = mu_from_epsilon(EPSILON, DELTA)
    with pytest.raises(BudgetError):
        spend(ledger, whole, delta_slack=1e-6)
    spend(ledger, mu_from_epsilon(EPSILON, DELTA - 1e-6) * 0.9, delta_slack=1e-6)
    with pytest.raises(BudgetError, match="delta slack"):
        spend(ledger, 1e-9, index=1, delta_slack=DELTA - 1e-6)
    with pytest.raises(BudgetError, match="delta slack"):
        spend(ledger, 1e-9, index=1, delta_slack=0.5)


def test_the_refusal_says_what_was_asked_and_what_remains() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    spend(ledger, mu_from_epsilon(0.5, DELTA))
    with pytest.raises(
        BudgetError, match=r"'embedding' asks for epsilon 1 \(mu 0.268\), but epsilon 0\.8\d+ .*1e-05"
    ):
        spend(ledger, mu_from_epsilon(1.0, DELTA), index=1)
    spend(ledger, ledger.remaining().mu, index=1)
    with pytest.raises(BudgetError, match="nothing of the budget remains"):
        spend(ledger, 0.01, index=2)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 1.0, 4.0, 10.0, 50.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 1e-2])
def test_the_tolerance_stays_within_the_rounding_of_the_accountant(epsilon: float, delta: float) -> None:
    mu = mu_from_epsilon(epsilon, delta)
    assert exact_delta_in_many_digits(mu * math.sqrt(1 + float(TOLERANCE)) * (1 + 1e-15), epsilon) <= delta
    assert delta_from_mu(mu * (1 + 1e-6), epsilon) > delta


def exact_delta_in_many_digits(mu: float, epsilon: float) -> float:
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return float(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m))


@settings(max_examples=60)
@given(
    epsilon=st.floats(0.01, 20),
    delta=st.floats(1e-10, 1e-2),
    asked=st.lists(st.tuples(st.floats(1e-6, 1.2), st.floats(0, 0.6)), min_size=1, max_size=12),
)
def test_no_sequence_of_spends_exceeds_the_budget(
    epsilon: float, delta: float, asked: list[tuple[float, float]]
) -> None:
    ledger = PrivacyLedger.in_memory(epsilon=epsilon, delta=delta)
    whole = mu_from_epsilon(epsilon, delta)
    squares = slacks = 0.0
    for index, (share, slack_share) in enumerate(asked):
        mu, slack = whole * share, delta * slack_share
        try:
            spend(ledger, mu, index=index, delta_slack=slack)
        except BudgetError:
            continue
        squares, slacks = squares + mu * mu, slacks + slack
    if squares:
        assert exact_delta(math.sqrt(squares), epsilon) + slacks <= delta * (1 + 1e-9)
        assert ledger.spent().epsilon <= epsilon * (1 + 1e-9)
    assert ledger.spent().mu >= math.sqrt(squares) * (1 - 1e-15)


@pytest.mark.parametrize(
    "bad",
    [
        *({"mu": mu} for mu in (0.0, -1.0, math.nan, math.inf)),
        *({"delta_slack": slack} for slack in (-1e-9, math.nan, 1.5)),
        {"index": -1},
    ],
)
def test_a_spend_that_is_no_number_above_zero_is_refused(bad: dict) -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    with pytest.raises(ValueError, match=next(iter(bad))):
        ledger.spend(**({"run": "run", "index": 0, "what": "x", "mu": 0.1} | bad))
    assert ledger.spent().measurements == 0


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.inf, 1e-5), (math.nan, 1e-5), (1, 0), (1, 1)]
)
def test_a_budget_without_meaning_is_refused(epsilon: float, delta: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"epsilon|delta"):
        PrivacyLedger.create(tmp_path / "a.ledger", epsilon=epsilon, delta=delta)
    assert list(tmp_path.iterdir()) == []


# --- spend, store, resume --------------------------------------------------------------------------------


def test_a_resumed_run_gets_the_noisy_value_back_and_cannot_draw_a_second_one(path: Path) -> None:
    with PrivacyLedger.open(path) as ledger:
        assert ledger.stored("run", 0) is None
        receipt = spend(ledger, 0.1, plan="p")
        ledger.store(receipt, b"noisy")
        before = ledger.spent()
    with PrivacyLedger.open(path) as ledger:
        assert ledger.stored("run", 0) == ledger.stored("run", 0, plan="p") == b"noisy"
        with pytest.raises(BudgetError, match="stored"):
            spend(ledger, 0.1, plan="p")
        with pytest.raises(BudgetError, match="second one"):
            ledger.store(receipt, b"other")
        assert ledger.spent() == before


def test_a_run_replayed_with_another_plan_is_refused(path: Path) -> None:
    ledger = PrivacyLedger.open(path)
    spend(ledger, 0.1, plan="one")
    with pytest.raises(BudgetError, match="another plan"):
        spend(ledger, 0.1, plan="two")
    ledger.store(spend(ledger, 0.1, plan="one"), b"v")
    with pytest.raises(BudgetError, match="another plan"):
        ledger.stored("run", 0, plan="two")


def test_a_spend_whose_value_was_lost_is_paid_again_as_long_as_it_is_affordable() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    mu = ledger.remaining().mu * math.sqrt(0.4)
    attempts = [spend(ledger, mu).attempt for _ in range(2)]
    assert attempts == [0, 1]
    with pytest.raises(BudgetError, match="remains"):
        spend(ledger, mu)
    assert ledger.spent().measurements == 2


def test_a_receipt_of_another_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    other = PrivacyLedger.create(tmp_path / "other.ledger", epsilon=1, delta=DELTA)
    with pytest.raises(BudgetError, match="another ledger"):
        PrivacyLedger.open(path).store(spend(other, 0.1), b"v")


def test_entries_and_heads_tell_the_whole_history(path: Path) -> None:
    ledger = PrivacyLedger.open(path)
    heads = [ledger.head]
    receipt = spend(ledger, 0.1, statement={"unit": "one subject"})
    heads.append(receipt.hash)
    ledger.store(receipt, b"v")
    heads.append(ledger.head)
    assert [entry.kind for entry in ledger.entries()] == ["budget", "spend", "value"]
    assert [entry.hash for entry in ledger.entries()] == heads
    assert all(ledger.knows(head) for head in heads)
    assert not ledger.knows("0" * 64)
    assert ledger.budget["dataset"] == "people"
    assert ledger.entries()[1].fields["statement"] == {"unit": "one subject"}


def test_a_ledger_in_memory_has_entries_that_can_be_compared() -> None:
    heads = set()
    for _ in range(2):
        ledger = PrivacyLedger.in_memory(epsilon=1, delta=DELTA)
        ledger.store(spend(ledger, 0.1), b"v")
        heads.add(ledger.head)
    assert len(heads) == 1


# --- creating and opening --------------------------------------------------------------------------------


def test_a_ledger_is_created_once(path: Path, own_state: Path) -> None:
    sound, states = path.read_bytes(), sorted(own_state.iterdir())
    with pytest.raises(BudgetError, match="once"):
        PrivacyLedger.create(path, epsilon=100, delta=DELTA)
    assert path.read_bytes() == sound
    assert sorted(own_state.iterdir()) == states
    with pytest.raises(BudgetError, match="does not exist"):
        PrivacyLedger.create(path.parent / "none" / "a.ledger", epsilon=1, delta=DELTA)


def test_another_ledger_than_the_domain_names_is_refused(path: Path) -> None:
    identity = PrivacyLedger.open(path).id
    assert PrivacyLedger.open(path, expected_id=identity).id == identity
    with pytest.raises(BudgetError, match="the domain file names abc"):
        PrivacyLedger.open(path, expected_id="abc")


@pytest.mark.parametrize(
    "content", [b"", b"age,income\n", b"SQLite format 3\0" + bytes(100), random.Random(4).randbytes(5000)]
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "people.ledger"
    path.write_bytes(content)
    with pytest.raises(BudgetError, match=r"people\.ledger"):
        PrivacyLedger.open(path)
    assert path.read_bytes() == content
    with pytest.raises(BudgetError, match="no ledger"):
        PrivacyLedger.open(tmp_path / "none.ledger")


def test_another_sqlite_file_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.ledger") as connection:
        connection.execute("CREATE TABLE entries (number, body, hash)")
    with pytest.raises(BudgetError, match="no keshi ledger"):
        PrivacyLedger.open(tmp_path / "a.ledger")


# --- tampering -------------------------------------------------------------------------------------------


def with_history(path: Path) -> None:
    with PrivacyLedger.open(path) as ledger:
        for index in range(3):
            ledger.store(spend(ledger, 0.1, index=index), b"noisy value %d" % index)


def test_triggers_abort_update_and_delete(path: Path) -> None:
    with_history(path)
    connection = sqlite3.connect(path)
    for statement in (
        "UPDATE entries SET body = ''",
        "DELETE FROM entries",
        "UPDATE noisy_values SET payload = x''",
        "DELETE FROM noisy_values",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)


def reseal(connection: sqlite3.Connection, change: Callable[[int, str, dict], dict]) -> None:
    """Edit the entries as somebody would who knows the format: every hash fits again."""
    import json

    chain: list = []
    for number, body in connection.execute("SELECT number, body FROM entries ORDER BY number").fetchall():
        parsed = json.loads(body)
        entry, text = next_entry(chain, parsed["kind"], change(number, parsed["kind"], parsed["fields"]))
        connection.execute(
            "UPDATE entries SET body = ?, hash = ? WHERE number = ?", (text, entry.hash, number)
        )
        chain.append(entry)


DROP = "".join(
    f"DROP TRIGGER {table}_no_{what};"
    for table in ("entries", "noisy_values")
    for what in ("update", "delete")
)
TAMPERING: dict[str, str | Callable[[sqlite3.Connection], object]] = {
    "the budget is raised": "UPDATE entries SET body = replace(body, '\"epsilon\": 1.0', '\"epsilon\": 9.0')",
    "a spend is made cheaper": "UPDATE entries SET body = replace(body, '\"mu\": 0.1', '\"mu\": 0.0')",
    "a hash is edited": "UPDATE entries SET hash = replace(hash, 'a', 'b')",
    "the last entry is deleted": "DELETE FROM entries WHERE number = 6",
    "a middle entry is deleted": "DELETE FROM entries WHERE number = 3",
    "the first entry is deleted": "DELETE FROM entries WHERE number = 0",
    "all entries are deleted": "DELETE FROM entries",
    "two entries change places": "UPDATE entries SET number = -4 + number WHERE number IN (1, 3);"
    "UPDATE entries SET number = -number WHERE number < 0",
    "an entry is doubled": "INSERT INTO entries SELECT 7, body, hash FROM entries WHERE number = 6",
    "a body is a blob": "UPDATE entries SET body = CAST(body AS BLOB) WHERE number = 2",
    "a body is a number": "UPDATE entries SET body = 7 WHERE number = 2",
    "a body has a blank more": "UPDATE entries SET body = body || ' ' WHERE number = 2",
    "a noisy value is exchanged": "UPDATE noisy_values SET payload = x'00' WHERE entry = 2",
    "a noisy value is deleted": "DELETE FROM noisy_values WHERE entry = 2",
    "a noisy value is added": "INSERT INTO noisy_values VALUES (1, x'00')",
    "two noisy values change places": "UPDATE noisy_values SET entry = -entry WHERE entry IN (2, 4);"
    "UPDATE noisy_values SET entry = 6 + entry WHERE entry < 0",
    "a trigger is added": "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM noisy_values; END",
    "a view is added": "CREATE VIEW v AS SELECT 1",
    "the version is raised": "PRAGMA user_version = 2",
    "the mark is removed": "PRAGMA application_id = 0",
    "the budget is raised and every hash recomputed": lambda c: reseal(
        c, lambda n, kind, fields: fields | {"epsilon": 9.0} if n == 0 else fields
    ),
    "a spend is made cheaper and every hash recomputed": lambda c: reseal(
        c, lambda n, kind, fields: fields | {"mu": 1e-9} if kind == "spend" else fields
    ),
    "the id leads out of the state folder": lambda c: reseal(
        c, lambda n, kind, fields: fields | {"id": "../../evil"} if n == 0 else fields
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_a_tampered_ledger_is_refused(name: str, path: Path) -> None:
    with_history(path)
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    connection.executescript(DROP)
    change = TAMPERING[name]
    connection.executescript(change) if isinstance(change, str) else change(connection)
    for trigger in triggers:  # put back, so that only the tampering itself can be noticed
        connection.execute(trigger)
    connection.close()
    with pytest.raises(BudgetError, match=r"people\.ledger"):
        PrivacyLedger.open(path)


def test_dropping_the_triggers_alone_is_noticed_and_restoring_them_is_fine(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    connection.executescript(DROP)
    with pytest.raises(BudgetError, match="table definition"):
        PrivacyLedger.open(path)
    for trigger in triggers:
        connection.execute(trigger)
    PrivacyLedger.open(path)


def test_a_flipped_byte_anywhere_in_the_file_is_refused_or_changes_no_entry(path: Path) -> None:
    with_history(path)
    sound = path.read_bytes()
    with PrivacyLedger.open(path) as ledger:
        entries = ledger.entries()
    chance = random.Random(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            with PrivacyLedger.open(path) as ledger:
                assert ledger.entries() == entries
                assert [ledger.stored("run", i) for i in range(3)] == [
                    b"noisy value %d" % i for i in range(3)
                ]
        except BudgetError:
            refused += 1
    assert refused > 20  # most of the file is free space, where a flipped bit means nothing


def test_tampering_while_the_ledger_is_open_is_noticed_by_the_next_spend(path: Path) -> None:
    ledger = PrivacyLedger.open(path)
    spend(ledger, 0.1)
    with sqlite3.connect(path) as connection:
        connection.executescript(DROP + "DELETE FROM entries WHERE number = 1")
    with pytest.raises(BudgetError):
        spend(ledger, 0.1, index=1)


# --- rollback, forks, other machines ---------------------------------------------------------------------


def test_a_ledger_restored_from_a_backup_is_refused(path: Path, tmp_path: Path) -> None:
    with_history(path)
    shutil.copy(path, tmp_path / "backup")
    with PrivacyLedger.open(path) as ledger:
        spend(ledger, 0.1, index=3)
    shutil.copy(tmp_path / "backup", path)
    with pytest.raises(BudgetError, match="rolled back"):
        PrivacyLedger.open(path)
    with pytest.raises(BudgetError, match="rolled back"):
        PrivacyLedger.adopt(path)


def test_two_copies_cannot_spend_separately(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ledger"
    shutil.copy(path, copy)
    first, second = PrivacyLedger.open(path), PrivacyLedger.open(copy)
    spend(first, 0.1)
    with pytest.raises(BudgetError, match="not the newest copy"):
        spend(second, 0.1)
    assert second.spent().measurements == 0
    assert second.stored("run", 0) is None
    with pytest.raises(BudgetError, match="not the newest copy"):
        PrivacyLedger.open(copy)


def test_a_copy_that_spent_under_another_state_is_refused_here(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ledger"
    shutil.copy(path, copy)
    spend(PrivacyLedger.adopt(copy, state=tmp_path / "other"), 0.2)
    with PrivacyLedger.open(path) as ledger:
        spend(ledger, 0.1)
    with pytest.raises(BudgetError, match="two copies spent separately"):
        PrivacyLedger.open(copy)


def test_a_ledger_that_moved_to_another_machine_must_be_adopted(path: Path, tmp_path: Path) -> None:
    with_history(path)
    elsewhere = tmp_path / "machine"
    with pytest.raises(BudgetError, match="keshi ledger adopt"):
        PrivacyLedger.open(path, state=elsewhere)
    assert not elsewhere.exists()
    with PrivacyLedger.adopt(path, state=elsewhere) as ledger:
        assert ledger.entries()[-1].kind == "adopted"
        assert ledger.spent().measurements == 3
        spend(ledger, 0.1, index=3)
    with PrivacyLedger.open(path) as ledger:  # back again, and nothing that this machine knew is missing
        assert ledger.spent().measurements == 4
        spend(ledger, 0.1, index=4)


def test_a_tampered_ledger_is_not_adopted(path: Path, tmp_path: Path) -> None:
    with_history(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO noisy_values VALUES (1, x'00')")
    with pytest.raises(BudgetError, match="altered"):
        PrivacyLedger.adopt(path, state=tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").glob("*.json"))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"format": "x"}', b'{"number": NaN}'])
def test_a_damaged_state_file_is_refused_and_not_replaced(
    content: bytes, path: Path, own_state: Path
) -> None:
    state = next(own_state.glob("*.json"))
    state.write_bytes(content)
    with pytest.raises(BudgetError, match="state file"):
        PrivacyLedger.open(path)
    with pytest.raises(BudgetError, match="state file"):
        PrivacyLedger.adopt(path)
    assert state.read_bytes() == content


def test_a_state_that_vanishes_while_the_ledger_is_open_stops_the_next_spend(
    path: Path, own_state: Path
) -> None:
    ledger = PrivacyLedger.open(path)
    next(own_state.glob("*.json")).unlink()
    with pytest.raises(BudgetError, match="state file"):
        spend(ledger, 0.1)
    assert ledger.spent().measurements == 0


# --- processes and threads -------------------------------------------------------------------------------


def spend_all_one_can(path: str, run: str, mu: float, done: multiprocessing.Queue) -> None:
    ledger = PrivacyLedger.open(path)
    count = 0
    for index in range(20):
        try:
            ledger.store(spend(ledger, mu, run=run, index=index), os.urandom(8))
            count += 1
        except BudgetError:
            break
    done.put(count)


def test_processes_spending_at_once_never_exceed_the_budget(path: Path) -> None:
    with PrivacyLedger.open(path) as ledger:
        mu = ledger.remaining().mu / math.sqrt(10)
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    workers = [
        context.Process(target=spend_all_one_can, args=(str(path), f"run {n}", mu, done)) for n in range(3)
    ]
    for worker in workers:
        worker.start()
    counts = [done.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sum(counts) == 10
    with PrivacyLedger.open(path) as ledger:
        assert ledger.spent().measurements == 10
        assert ledger.spent().epsilon <= EPSILON


def test_threads_spending_at_once_never_exceed_the_budget(path: Path) -> None:
    ledger = PrivacyLedger.open(path)
    mu = ledger.remaining().mu / math.sqrt(6)
    counts: list[int] = []

    def work(run: str) -> None:
        for index in range(6):
            try:
                spend(ledger, mu, run=run, index=index)
                counts.append(1)
            except BudgetError:
                return

    threads = [threading.Thread(target=work, args=(f"run {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == ledger.spent().measurements == 6


def test_a_writer_that_never_lets_go_is_reported_and_nothing_is_spent(path: Path) -> None:
    ledger = PrivacyLedger.open(path, timeout=0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BudgetError, match=r"another process .* 0\.1 seconds"):
        spend(ledger, 0.1)
    holder.execute("ROLLBACK")
    assert ledger.spent().measurements == 0
    assert spend(ledger, 0.1).attempt == 0


def test_a_writer_to_another_copy_of_the_ledger_keeps_this_one_waiting(path: Path, own_state: Path) -> None:
    ledger = PrivacyLedger.open(path, timeout=0.1)
    holder = sqlite3.connect(own_state / f"{ledger.id}.lock", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BudgetError, match="copy of it"):
        spend(ledger, 0.1)
    holder.close()
    assert spend(ledger, 0.1).attempt == 0


def test_a_planted_id_cannot_make_files_outside_the_state_folder(path: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    connection.executescript(DROP)
    reseal(connection, lambda n, kind, fields: fields | {"id": "../evil"})
    for trigger in triggers:
        connection.execute(trigger)
    connection.close()
    with pytest.raises(BudgetError, match="hexadecimal"):
        PrivacyLedger.adopt(path, state=tmp_path / "state" / "ledgers")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_ledger_carried_over_a_fork_is_refused_in_the_child_and_still_good_in_the_parent(
    path: Path,
) -> None:
    for ledger in (PrivacyLedger.open(path), PrivacyLedger.in_memory(epsilon=1, delta=DELTA)):
        child = os.fork()
        if child == 0:
            try:
                spend(ledger, 0.1)
                os._exit(1)
            except BudgetError as error:
                ledger.close()
                os._exit(0 if "after a fork" in str(error) else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        spend(ledger, 0.1)
        assert ledger.spent().measurements == 1


# --- crashes ---------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from keshi.privacy import ledger as module
from keshi.privacy.ledger_file import LedgerFile
from keshi.privacy.ledger_state import LedgerState
where, path = sys.argv[1:]
def die(*args, **more): os.kill(os.getpid(), signal.SIGKILL)
def after(owner, name, calls):
    original, seen = getattr(owner, name), []
    def counted(*args, **more):
        result = original(*args, **more)
        seen.append(1)
        if len(seen) == calls: die()
        return result
    setattr(owner, name, counted)
book = module.PrivacyLedger.open(path)
if where == "before the transaction": after(LedgerState, "verify", 1)
if where == "inside the transaction": after(LedgerFile, "append", 1)
if where == "after commit": LedgerState.write = die
if where == "after the state": after(LedgerState, "write", 1)
receipt = book.spend(run="run", index=0, what="x", mu=0.1)
if where == "before store": die()
if where == "inside store": after(LedgerFile, "append", 1)
book.store(receipt, b"noisy")
if where == "after store": die()
"""


@pytest.mark.parametrize(
    ("where", "spends", "value"),
    [
        ("before the transaction", 0, None),
        ("inside the transaction", 0, None),
        ("after commit", 1, None),
        ("after the state", 1, None),
        ("before store", 1, None),
        ("inside store", 1, None),
        ("after store", 1, b"noisy"),
    ],
)
def test_a_process_killed_at_any_step_loses_budget_and_never_privacy(
    where: str, spends: int, value: bytes | None, path: Path
) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, where, str(path)], check=False)
    assert process.returncode == -signal.SIGKILL
    with PrivacyLedger.open(path) as ledger:
        assert ledger.spent().measurements == spends
        assert ledger.stored("run", 0) == value
        if value is None:
            assert spend(ledger, 0.1).attempt == spends
            assert ledger.spent().measurements == spends + 1
    with PrivacyLedger.open(path) as ledger:  # and the repaired state is a sound one
        assert spend(ledger, 0.01, index=1).attempt == 0


def test_a_full_disk_stops_the_spend_and_leaves_a_sound_ledger(path: Path) -> None:
    ledger = PrivacyLedger.open(path)
    receipt = spend(ledger, 0.1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (1, 512, path.stat().st_size + 4096):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            with pytest.raises(BudgetError, match=r"disk|cannot be used"):
                ledger.store(receipt, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert ledger.stored("run", 0) is None
    ledger.store(receipt, b"noisy")
    ledger.close()
    assert PrivacyLedger.open(path).stored("run", 0) == b"noisy"


def test_a_full_disk_while_spending_or_creating_spends_nothing(
    path: Path, tmp_path: Path, own_state: Path
) -> None:
    ledger = PrivacyLedger.open(path)
    before = sorted(tmp_path.iterdir()), sorted(own_state.glob("*.json"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(BudgetError):
            spend(ledger, 0.1)
        with pytest.raises(BudgetError):
            PrivacyLedger.create(tmp_path / "new.ledger", epsilon=1, delta=DELTA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (sorted(tmp_path.iterdir()), sorted(own_state.glob("*.json"))) == before
    assert ledger.spent().measurements == 0
    assert spend(ledger, 0.1).attempt == 0


def test_a_ledger_in_a_read_only_folder_can_be_read_and_not_spent_from(path: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("the superuser writes everywhere")
        ledger = PrivacyLedger.open(path)
        assert ledger.spent().measurements == 0
        with pytest.raises(BudgetError, match="writ"):
            spend(ledger, 0.1)
    finally:
        tmp_path.chmod(0o755)


def test_a_ledger_that_must_not_be_written_can_be_read_and_not_spent_from(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # as it is for everybody but the superuser
    ledger = PrivacyLedger.open(path)
    assert ledger.remaining().epsilon == pytest.approx(1.0)
    with pytest.raises(BudgetError, match="readonly"):
        spend(ledger, 0.1)
    assert ledger.spent().measurements == 0


def test_the_spend_is_on_the_disk_before_it_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the receipt in hand another connection sees the spend, and the settings ask for fsync."""
    ledger = PrivacyLedger.open(path)
    receipt = spend(ledger, 0.1)
    with sqlite3.connect(path) as other:
        rows = other.execute("SELECT hash FROM entries").fetchall()
    assert rows[-1] == (receipt.hash,)
    pragmas = {name: ledger._file._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in
               ("journal_mode", "synchronous")}  # fmt: skip
    assert pragmas == {"journal_mode": "delete", "synchronous": 3}


def test_the_ledger_needs_neither_torch_nor_pandas_nor_opendp() -> None:
    code = (
        "import sys, keshi.privacy.ledger as l; l.PrivacyLedger.in_memory(epsilon=1, delta=1e-5).remaining();"
        "print([m for m in ('torch', 'pandas', 'opendp') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_reading_a_hundred_spends_takes_well_under_a_second() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=EPSILON, delta=DELTA)
    for index in range(100):
        spend(ledger, 1e-4, index=index)
    start = time.perf_counter()
    ledger.spent()
    assert time.perf_counter() - start < 0.5


def test_spends_for_different_units_are_never_added_up():
    book = PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5)
    book.spend(run="a", index=0, what="x", mu=0.01, unit="adding or removing one record")
    with pytest.raises(BudgetError, match="together they would guarantee neither"):
        book.spend(run="b", index=0, what="x", mu=0.01, unit="replacing one record")
    book.spend(run="b", index=0, what="x", mu=0.01, unit="adding or removing one record")
    assert book.spent().measurements == 2
