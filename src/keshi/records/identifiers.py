"""Identifiers: columns such as a customer number that are made up for every sampled record, and never read.

They are named in the domain file beside the columns, so no value of theirs can reach a release.
"""

from __future__ import annotations

import re
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("sequence", "uuid")


@dataclass(frozen=True)
class Identifier:
    """How an identifier is made.

    Attributes:
        kind: "sequence" counts from 1; "uuid" draws random UUIDs (version 4) from the seed of the sampling.
        after: The column or identifier that it follows in the table; None puts it before all columns.
    """

    kind: str
    after: str | None = None

    def to_toml(self) -> str | dict[str, str]:
        """Its value in a domain file."""
        return self.kind if self.after is None else {"kind": self.kind, "after": self.after}


class IdentifierWriter:
    """Adds the identifiers to sampled tables that come in batches; numbers go on from batch to batch."""

    def __init__(self, identifiers: Mapping[str, Identifier], *, seed: int) -> None:
        self.identifiers = identifiers
        self._written = 0
        # A stream of its own for each: the same ids whatever else is drawn from the seed.
        self._random = {
            name: np.random.default_rng([seed, zlib.crc32(name.encode())]) for name in identifiers
        }

    def add(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table with its identifiers, each in its place."""
        if not self.identifiers:
            return frame
        import pandas as pd

        added: dict[str, pd.Series] = {}
        for name, identifier in self.identifiers.items():
            if identifier.kind == "sequence":
                added[name] = pd.Series(
                    np.arange(self._written + 1, self._written + len(frame) + 1, dtype=np.int64)
                )
            else:
                drawn = self._random[name].bytes(16 * len(frame))
                texts = [
                    str(uuid.UUID(bytes=drawn[start : start + 16], version=4))
                    for start in range(0, len(drawn), 16)
                ]
                added[name] = pd.Series(texts, dtype="str")
        self._written += len(frame)
        columns = {**{str(name): frame[name] for name in frame.columns}, **added}
        return pd.DataFrame({name: columns[name] for name in order(self.identifiers, list(frame.columns))})


def order(identifiers: Mapping[str, Identifier], columns: list[str]) -> list[str]:
    """Names of columns and identifiers in the order of the table."""
    names = [*(name for name, one in identifiers.items() if one.after is None), *columns]
    waiting = {name: one.after for name, one in identifiers.items() if one.after is not None}
    while waiting:
        placed = [name for name, after in waiting.items() if after in names]
        if not placed:
            raise ValueError(f"identifiers {list(waiting)} follow each other, or a column that is not there.")
        for name in reversed(placed):  # those after the same column keep the order in which they are listed
            names.insert(names.index(str(waiting.pop(name))) + 1, name)
    return names


def identifier_problems(identifiers: Any, columns: Mapping[str, Any], ignore: tuple[str, ...]) -> list[str]:
    """Everything that is wrong with the identifiers of a domain, in words."""
    problems = []
    for name, one in identifiers.items():
        if not isinstance(one, Identifier) or one.kind not in KINDS:
            kind = one.kind if isinstance(one, Identifier) else one
            problems.append(
                f'identifier {name!r}: expected "sequence" or "uuid", or a table such as '
                f'{{ kind = "uuid", after = "age" }}; got {kind!r}.'
            )
        elif one.after is not None and one.after not in {*columns, *identifiers} - {name}:
            problems.append(
                f"identifier {name!r}: after must be a column or another identifier, got {one.after!r}."
            )
        if name in columns:
            problems.append(
                f"identifier {name!r} is also declared as a column; an identifier is made up and never read. "
                "Leave one of the two out."
            )
        if name in ignore:
            problems.append(
                f"identifier {name!r} is also under ignore; leave it out there: it is never read."
            )
        if not isinstance(name, str) or re.search(r"[\ud800-\udfff]", name):
            problems.append(f"identifier {name!r}: names must be texts of valid Unicode.")
    if not problems:
        try:
            order(identifiers, list(columns))
        except ValueError as error:
            problems.append(str(error))
    return problems


def parse_identifiers(table: Any) -> tuple[dict[str, Identifier], list[str]]:
    """The table [identifiers] of a domain file, and everything that is wrong with its form."""
    if not isinstance(table, dict):
        return {}, [f"identifiers must be a table such as [identifiers], got {table!r}."]
    found, problems = {}, []
    for name, value in table.items():
        if isinstance(value, dict) and "kind" in value and set(value) <= {"kind", "after"}:
            found[name] = Identifier(value["kind"], value.get("after"))
        elif isinstance(value, str):
            found[name] = Identifier(value)
        else:
            problems.append(
                f'identifier {name!r}: expected "sequence" or "uuid", or a table such as '
                f'{{ kind = "uuid", after = "age" }}; got {value!r}.'
            )
    return found, problems
