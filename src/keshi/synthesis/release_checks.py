"""What must hold of a release besides the scale of its noise: checked on neighbouring tables made from the domain.

Everything runs through the code that makes a user's release: encode, sum, pay, draw, describe, save. A mistake there
(bounds read off the records, a count without noise, a value that nobody paid for) shows here, on made-up records.
"""

from __future__ import annotations

import math
import os
import random
import select
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.privacy.accounting import compose
from keshi.privacy.ledger import PrivacyLedger
from keshi.synthesis.claims import RUN, Claim, all_sums, declared_scales
from keshi.synthesis.embedding import measure
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.neighbours import NeighbouringTables, subject_records
from keshi.synthesis.noise_checks import Check
from keshi.synthesis.private_embedding import Plan, PrivateEmbedding

_CHILD_SECONDS = 20.0  # how long a forked process may take to draw a few numbers
_ROUNDING = 1e-9  # relative; scales are rounded up, so that distances come out below the claim


def release_checks(claim: Claim, tables: NeighbouringTables, *, found: list[Check]) -> tuple[int | None, int]:
    """Run every check, and add it to `found` as soon as it is done.

    Returns:
        The pair of tables (see NeighbouringTables.with_extreme) that lies furthest apart in units of noise.
    """
    base = tables.with_extreme(None)
    ledger = PrivacyLedger.in_memory(epsilon=claim.epsilon, delta=claim.delta)
    embedding = claim.release(base, ledger=ledger)
    name = "the release bears the declared domain, and nothing that was learned of the records"
    found.append(Check(name, embedding.domain == claim.domain, f"{len(claim.domain.columns)} columns"))
    found += [statement_check(claim, embedding), *_ledger_checks(claim, base, embedding, ledger)]
    if claim.unit.subject is not None:
        found.append(_subjects_check(claim, tables))
    check, pair = _distance_check(claim, tables, declared_scales(embedding))
    found += [check, _alone_check(claim, tables)]
    found.append(_metadata_check(claim, tables, pair))
    found.append(_freshness_check(claim, base))
    found.append(_fork_check(claim, base))
    return pair


def _distance_check(
    claim: Claim, tables: NeighbouringTables, scales: NDArray[np.float64]
) -> tuple[Check, tuple[int | None, int]]:
    """How far apart neighbours are, in units of the declared noise: that is the mu they need."""
    base = claim.exact_sums(tables.with_extreme(None))
    moved = np.array(
        [
            (claim.exact_sums(tables.with_extreme(number)) - base) / scales
            for number in range(len(tables.extremes))
        ]
    )
    pair: tuple[int | None, int]
    if claim.unit.relation == "add-or-remove":
        lengths = np.linalg.norm(moved, axis=1)
        second = int(lengths.argmax())
        pair, furthest = (None, second), float(lengths[second])
    else:
        distances = [np.linalg.norm(moved - row, axis=1) for row in moved]
        first, second = map(int, np.unravel_index(np.argmax(distances), (len(moved), len(moved))))
        pair, furthest = (first, second), float(distances[first][second])
    detail = f"{furthest:.4g} of the {claim.mu:.4g} that is paid for, in units of the noise"
    return (
        Check(
            "no neighbour moves the sums further than was paid for",
            furthest <= claim.mu * (1 + _ROUNDING),
            detail,
        ),
        pair,
    )


def _alone_check(claim: Claim, tables: NeighbouringTables) -> Check:
    """The sums of a table are the sums over its units one by one: none sees another."""
    table, unit = tables.with_all(), claim.unit
    whose = np.arange(len(table)) if unit.subject is None else pd.factorize(table[unit.subject])[0]
    together = claim.exact_sums(table)
    alone = sum(claim.exact_sums(table[whose == one]) for one in np.unique(whose))
    backwards = claim.exact_sums(table.iloc[::-1])
    passed = np.array_equal(together, alone) and np.array_equal(together, backwards)
    name = f"every {unit.name} is encoded by itself: no bound, category or scale is read off the others"
    return Check(name, passed, f"{len(set(whose))} {unit.name}s together, one by one, and in reverse order")


def _subjects_check(claim: Claim, tables: NeighbouringTables) -> Check:
    """The weights of a subject's records add up to one unit at most, in whole numbers, with nothing rounded."""
    table, most = tables.with_all(), claim.unit.max_records
    weights = claim.weights(table)
    assert weights is not None  # asked where the unit is a subject
    of_subject = pd.Series(weights.astype(np.int64)).groupby(table[claim.unit.subject].to_numpy())
    heaviest = int(of_subject.sum().max())
    kept = int(of_subject.agg(lambda own: (own > 0).sum()).max())
    seen = (
        f"subjects of up to {max(map(len, tables.extremes)):,} records, at most {heaviest / WEIGHT:.6g} units"
    )
    if most is not None:
        seen += f", {kept:,} of at most {most:,} records kept"
        if max(subject_records(claim.unit)) <= most:
            seen += "; subjects of more records than that were too large to try"
    passed = heaviest <= WEIGHT and (most is None or kept <= most)
    return Check("the records of a subject weigh one unit together, whatever their number", passed, seen)


def statement_check(claim: Claim, embedding: PrivateEmbedding, *, which: str = "released") -> Check:
    """The statement says what was claimed and measured."""
    statement = embedding.statement
    mu = compose(measurement.mu for measurement in embedding.measurements)
    parts = {
        "unit": statement.unit == claim.unit.describe(),
        "epsilon": statement.epsilon == claim.epsilon,
        "delta": statement.delta == claim.delta,
        "mu": math.isclose(statement.mu, mu, rel_tol=_ROUNDING),
        "measurements": list(statement.measurements) == [m.plan.what for m in embedding.measurements],
    }
    wrong = [part for part, agrees in parts.items() if not agrees]
    seen = f"these do not: {', '.join(wrong)}" if wrong else f"{', '.join(parts)} agree"
    return Check(f"the {which} statement says what was measured", not wrong, seen)


def _ledger_checks(
    claim: Claim, table: pd.DataFrame, embedding: PrivateEmbedding, ledger: PrivacyLedger
) -> list[Check]:
    entries = ledger.entries()
    spends = [entry for entry in entries if entry.kind == "spend"]
    values = [entry for entry in entries if entry.kind == "value"]
    paid = len(spends) == len(values) == len(embedding.measurements) == len(claim.plans.plans)
    for index, measurement in enumerate(embedding.measurements):
        paid = paid and ledger.stored(RUN, index) == measurement.sums.astype("<i8").tobytes()
    mu = math.sqrt(sum(entry.fields["mu"] ** 2 for entry in spends))
    named = [entry.fields["what"] for entry in spends] == list(embedding.statement.measurements)
    name = "the ledger has one line for every value, and the value is the one it keeps"
    lines = f"{len(spends)} lines for {len(embedding.measurements)} values"
    first = Check(name, paid and named, lines)
    within = mu <= claim.mu * (1 + _ROUNDING) and ledger.spent().epsilon <= claim.epsilon * (1 + _ROUNDING)
    second = Check("what is paid adds up to the claim", within, f"mu {mu:.6g} of {claim.mu:.6g}")
    again = claim.release(table, ledger=ledger)
    same = len(again.measurements) == len(embedding.measurements) and all(
        np.array_equal(new.sums, old.sums)
        for new, old in zip(again.measurements, embedding.measurements, strict=True)
    )
    free = len([entry for entry in ledger.entries() if entry.kind == "spend"]) == len(spends)
    name = "a run that is resumed gives the same values, and pays nothing"
    return [first, second, Check(name, same and free, "the same run twice on one ledger")]


def _metadata_check(claim: Claim, tables: NeighbouringTables, pair: tuple[int | None, int]) -> Check:
    """Save releases of two neighbours with the noisy values blanked: every byte must agree."""
    name = "nothing but the noisy values differs between releases of neighbours"
    if pair[0] is not None and len(tables.extremes[pair[0]]) == len(tables.extremes[pair[1]]):
        # Subjects of one number of records each would hide a number of records that is let out.
        lengths = [len(own) for own in tables.extremes]
        pair = pair[0], next((i for i, length in enumerate(lengths) if length != lengths[pair[1]]), pair[1])
    try:
        first, second = (_bytes_without_values(claim.release(tables.with_extreme(one))) for one in pair)
    except Exception as error:  # whatever it is, one table was released and its neighbour was not
        return Check(
            name, False, f"a neighbouring table could not be released: {type(error).__name__}: {error}"
        )
    differ = sorted(key for key in {*first, *second} if first.get(key) != second.get(key))
    seen = f"these differ: {', '.join(differ)}" if differ else f"{', '.join(first)} agree in every byte"
    return Check(name, not differ, seen)


def _bytes_without_values(embedding: PrivateEmbedding) -> dict[str, bytes]:
    blank = replace(
        embedding,
        measurements=tuple(replace(m, sums=np.zeros_like(m.sums)) for m in embedding.measurements),
        statement=replace(embedding.statement, ledger_head=""),  # a hash that covers the noisy values
    )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "embedding"
        blank.save(target)
        return {path.name: path.read_bytes() for path in sorted(target.iterdir())}


def _freshness_check(claim: Claim, table: pd.DataFrame) -> Check:
    """Two runs of one table, with every seed a program can set the same, must differ in every block."""
    draws = []
    for _ in range(2):
        with _seeds_set(0):
            draws.append(claim.release(table))
    double = _equal_blocks(claim.plans.plans, *(all_sums(draw) for draw in draws))
    name = "two runs never give the same noise, whatever seeds are set"
    return Check(
        name, not double, f"the same noise twice in: {', '.join(double)}" if double else "two runs compared"
    )


def _fork_check(claim: Claim, table: pd.DataFrame) -> Check:
    """A forked process shares the state of every generator in the program with its parent; their noise must differ."""
    name = "a forked process draws other noise than its parent"
    if not hasattr(os, "fork"):
        return Check(name, True, "not tried: this system has no fork")
    plan = claim.plans.plans[-1]
    total = claim.partial(table, plan)

    def draw() -> NDArray[np.int64]:
        ledger = PrivacyLedger.in_memory(epsilon=claim.epsilon, delta=claim.delta)
        mu = claim.mu * math.sqrt(claim.plans.shares[-1]) * (1 - 1e-5)
        drawn = measure(
            total, plan, unit=claim.unit, mu=mu, ledger=ledger, run=RUN, index=0, largest_distance=1.0
        )  # what this plan's grid costs was looked at when it was released
        return drawn.sums

    drawn, own = _in_forked_process(draw), draw()
    if drawn is None:
        return Check(name, True, "not tried: the forked process did not answer")
    double = _equal_blocks((plan,), drawn, own)
    return Check(name, not double, f"the same noise in: {', '.join(double)}" if double else "both compared")


def _in_forked_process(draw: Any) -> NDArray[np.int64] | None:
    """What `draw` returns in a forked child; None where it does not answer."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads of torch sleep; the child never calls them
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, draw().astype("<i8").tobytes()[:65_536])
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], _CHILD_SECONDS)
        data = os.read(reading, 65_536) if ready else b""
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return np.frombuffer(data, dtype="<i8").astype(np.int64) if data else None


def _equal_blocks(plans: Sequence[Plan], first: NDArray[np.int64], second: NDArray[np.int64]) -> list[str]:
    """Names of the blocks whose values are the same in both, as far as both go."""
    double, start = [], 0
    for plan in plans:
        for block in plan.features:
            stretch = slice(start, min(start + block.size, len(first), len(second)))
            start += block.size
            if stretch.start < stretch.stop and np.array_equal(first[stretch], second[stretch]):
                double.append(block.kind)
    return double


@contextmanager
def _seeds_set(seed: int) -> Iterator[None]:
    """Set the seeds of every generator a program may share, and put them back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    kept = torch.get_rng_state() if torch is not None else None
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(kept)
