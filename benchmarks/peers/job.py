"""What a runner is told: a JSON file with the training csv, the public columns, the budget and where to write.

Runners stand in environments that lack keshi, so nothing but the standard library is imported here. A runner that is
started with --imports-only has imported all it needs and stops: that is its start-up time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Refused(SystemExit):
    """The method says by itself that it does not take such a table."""

    def __init__(self, reason: str) -> None:
        print(f"REFUSED: {reason}", flush=True)
        super().__init__(3)


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        train, output: Csv files; missing categories are the text "(missing)", missing numbers an empty field.
        domain: Domain file (TOML) of the same columns.
        columns: In order: {name, kind: "categorical", categories} or {name, kind: "numerical", lower, upper, integer,
            missing}. The cell "(missing)" is among the categories where a column has it.
        label: Name of the class column.
        algorithm: Which one of the runner's.
        epsilon, delta: The whole budget, preprocessing included.
        bins: Public equal-width bins of a number, where a method wants them.
        settings: Anything else of the method.
    """

    train: str
    output: str
    domain: str
    columns: list[dict[str, Any]]
    label: str
    algorithm: str
    epsilon: float
    delta: float
    seed: int
    rows: int
    bins: int
    settings: dict[str, Any]

    @property
    def categorical(self) -> dict[str, list[str]]:
        return {c["name"]: c["categories"] for c in self.columns if c["kind"] == "categorical"}

    @property
    def numerical(self) -> dict[str, dict[str, Any]]:
        return {c["name"]: c for c in self.columns if c["kind"] == "numerical"}


def read_job() -> Job:
    """The job named on the command line; ends the process where only the imports were asked for."""
    if sys.argv[1:] == ["--imports-only"]:
        raise SystemExit(0)
    return Job(**json.loads(Path(sys.argv[1]).read_text()))
