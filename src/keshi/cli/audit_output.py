"""How every kind of audit ends: what is checked before anything is measured, what is printed, what is written."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from keshi.auditing.gates import GateResult
    from keshi.auditing.side_by_side import AuditOfRelease
    from keshi.reports.report import Report


@dataclass(frozen=True)
class Order:
    """What was asked for besides the figures: files, gates, form.

    `limits` are the gates; `beside` the JSON and Markdown files next to the page `output`; `promise` the statement.
    """

    output: Path | None
    beside: tuple[Path, Path] | None
    promise: dict[str, Any] | None
    limits: dict[str, float]
    allow_inconclusive: bool
    as_json: bool
    started: tuple[float, float] = field(default_factory=lambda: (time.perf_counter(), time.process_time()))

    @property
    def cost(self) -> dict[str, float]:
        """Since the order was read."""
        wall, cpu = self.started
        return {"CPU seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}


def read_order(
    *,
    kind: str,
    output: Path | None,
    statement: Path | None,
    fail_above: Sequence[str],
    allow_inconclusive: bool,
    as_json: bool,
) -> Order:
    """Check all that can be checked before records are read; `kind` is one of `gates.KINDS`."""
    from keshi.auditing.gates import read_gates

    limits = read_gates(fail_above, kind=kind)
    beside = None if output is None else check_report_name(output)
    promise = None if statement is None else read_statement(statement)
    return Order(output, beside, promise, limits, allow_inconclusive, as_json)


def deliver(
    order: Order,
    answer: Mapping[str, Any],
    lines: Sequence[str],
    gates: Sequence[GateResult],
    page: Report | None,
) -> None:
    """Write the page, print the figures, and end with status 1 where a gate did not pass."""
    from keshi.reports.report import plain, write_report

    if page is not None and order.output is not None and order.beside is not None:
        write_report(page, order.output, *order.beside)
    if order.as_json:
        said = {**answer, "gates": [one.to_json() for one in gates], "statement": order.promise}
        print(json.dumps(plain(said), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join([*lines, *gate_lines(gates)]))
        if order.output is not None and order.beside is not None:
            names = f"{order.output}, {order.beside[0].name} and {order.beside[1].name}"
            print(f"wrote {names}: exact statistics, do not publish")
    stops = ("failed",) if order.allow_inconclusive else ("failed", "inconclusive")
    if any(one.verdict in stops for one in gates):
        raise typer.Exit(1)


def gate_lines(gates: Sequence[GateResult]) -> list[str]:
    """A line for each gate, and the names of those that did not pass."""
    lines = []
    for gate in gates:
        value = "" if gate.value is None else f" {gate.value:.3g}"
        lines.append(
            f"gate {gate.name} (limit {gate.limit:g}){value}: {gate.verdict}. {gate.reason}".rstrip()
        )
    missed = [gate.name for gate in gates if gate.verdict != "passed"]
    return lines + ([f"gates not passed: {', '.join(missed)}"] if missed else [])


def side_by_side_lines(found: AuditOfRelease) -> list[str]:
    """Figures beside their yardsticks, what could not be measured, the verdict."""
    from keshi.reports.report import shown

    heads = [one.name for one in found.tables]
    summary = found.summary()
    wide = max(len(name) for name, _ in summary) + 1
    lines = [f"{'':{wide}}" + "".join(f"{head:>21}" for head in heads)]
    for name, values in summary:
        lines.append(f"{name:{wide}}" + "".join(f"{shown(value):>21}" for value in values))
    lines += list(found.notes)
    if found.release.attacks is not None:  # else the notes have said it
        lines += found.doubts
    leaks = f": {'; '.join(found.leaks)}" if found.leaks else ""
    return [*lines, f"{found.verdict.upper()}{leaks}." + ("" if leaks else " That is no proof of safety.")]


def check_report_name(path: Path) -> tuple[Path, Path]:
    """The JSON and the Markdown file beside the page, or an error before anything is measured."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is written as .html; give such a name.")
    if path.absolute().parent.name == "release":
        raise ValueError(
            f"{path} lies in release/, but a report holds exact statistics. Write it into private/."
        )
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; create it.")
    return path.with_suffix(".json"), path.with_suffix(".md")


def read_statement(path: Path) -> dict[str, Any]:
    """A privacy statement: JSON with at least a "sentence"."""
    from keshi.errors import ArtifactError

    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ArtifactError(
            f"{path}: expected a statement in JSON, as keshi writes it beside a release."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("sentence"), str):
        raise ArtifactError(f'{path}: expected a JSON object with a "sentence" that states the guarantee.')
    return found
