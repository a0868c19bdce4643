"""What every audit of a release answers, and the table a notebook shows of it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, Protocol

from keshi.auditing.holdout_check import HoldoutCheck
from keshi.auditing.release_attacks import ReleaseAttacks, Risk
from keshi.auditing.small_groups import SmallGroups


class AuditedSet(Protocol):
    """One release under audit, or a yardstick."""

    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def attacks(self) -> ReleaseAttacks | None: ...
    @property
    def groups(self) -> SmallGroups | None: ...


class AuditOfRelease(Protocol):
    """A release between its yardsticks, of tables or of arrays: what reports, gates and notebooks ask for."""

    @property
    def release(self) -> AuditedSet: ...
    @property
    def holdout(self) -> AuditedSet | None: ...
    @property
    def tables(self) -> Sequence[AuditedSet]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def leaks(self) -> tuple[str, ...]: ...
    @property
    def doubts(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def check(self) -> HoldoutCheck | None: ...
    def risks(self, gate: str) -> list[Risk]: ...
    def figure(self, gate: str) -> tuple[float | None, str]: ...
    def summary(self) -> list[tuple[str, list[float | None]]]: ...
    def to_json(self) -> dict[str, Any]: ...


def known(value: float | None) -> float | None:
    """A number that can be shown, or None."""
    return None if value is None or not math.isfinite(value) else float(value)


def notebook_table(audit: AuditOfRelease) -> str:
    """HTML for notebooks: the verdict, and every figure beside its yardsticks."""
    heads = "".join(f"<th>{html.escape(one.name)}</th>" for one in audit.tables)
    lines = []
    for name, values in audit.summary():
        cells = "".join(f"<td>{'–' if value is None else f'{value:.3g}'}</td>" for value in values)
        lines.append(f"<tr><th style='text-align:left'>{html.escape(name)}</th>{cells}</tr>")
    said = f": {html.escape(', '.join(audit.leaks))}" if audit.leaks else ""
    return (
        f"<p><strong>{html.escape(audit.verdict)}</strong>{said}. Exact statistics of the data; do not publish.</p>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
