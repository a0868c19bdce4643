"""The methods of the benchmark: ours by preset name, yardsticks, peers; and how one run of one of them is made."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from capped_process import Usage, run_capped
from data_sets import MISSING, TableSplit, read_csv, write_csv
from environments import PEERS, environment_python

from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.synthesis.presets import PRESETS

PUBLIC_BINS = 20
QUICK_STEPS = 20
START_UPS = 3  # of which the fastest counts: the first also reads files from disk
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True)
class Method:
    """A method that runs in a process of its own, csv to csv.

    Attributes:
        name: As in the tables.
        runner: File in peers/.
        algorithm: Which of the runner's.
        environment: Name of its virtual environment; None for ours.
        settings: Passed to the runner as they are.
    """

    name: str
    runner: str
    algorithm: str
    environment: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one run: status "done", "time-out", "memory", "refused" or "failed", with the reason."""

    status: str
    reason: str | None
    usage: Usage | None
    start_up_seconds: float | None
    table: pd.DataFrame | None


YARDSTICKS = ("real", "independent columns")  # made in place: they cost nothing and promise nothing


def all_methods(*, quick: bool = False) -> dict[str, Method]:
    """Every method that runs as a process, by name; `quick` trains our presets for a few steps only."""
    settings = {"steps": QUICK_STEPS} if quick else {}
    ours = [Method(f"keshi {name}", "keshi_runner.py", name, settings=settings) for name in PRESETS]
    ours.append(Method("DP independent columns", "independent_runner.py", "independent"))
    peers = [
        Method("dpmm MST", "dpmm_runner.py", "mst", "dpmm"),
        Method("dpmm AIM", "dpmm_runner.py", "aim", "dpmm"),
        Method("dpmm PrivBayes", "dpmm_runner.py", "privbayes", "dpmm"),
        Method("SmartNoise MST", "smartnoise_runner.py", "mst", "smartnoise"),
        Method("SmartNoise AIM", "smartnoise_runner.py", "aim", "smartnoise"),
        Method("SmartNoise DP-CTGAN", "smartnoise_runner.py", "dpctgan", "smartnoise"),
        Method("SDV GaussianCopula", "sdv_runner.py", "gaussian copula", "sdv"),
        Method("OpenDP MST", "opendp_runner.py", "mst", "opendp"),
        Method("OpenDP AIM", "opendp_runner.py", "aim", "opendp"),
        Method("DP-SGD GAN", "dpsgd_gan_runner.py", "gan", "opacus"),
    ]
    return {method.name: method for method in [*ours, *peers]}


def public_columns(domain: Domain) -> list[dict[str, Any]]:
    """The Domain as a runner gets it."""
    columns: list[dict[str, Any]] = []
    for name, column in domain.columns.items():
        if isinstance(column, Categorical):
            cells = [*column.categories, *([MISSING] if column.missing else [])]
            columns.append({"name": name, "kind": "categorical", "categories": cells})
        else:
            assert isinstance(column, Numerical)
            columns.append({"name": name, "kind": "numerical", **asdict(column)})
    return columns


def output_file(method: Method, data: str, *, epsilon: float, seed: int, work: Path) -> Path:
    """Where `run_method` leaves the table that a method made."""
    return work / data / f"{method.name} {epsilon:g} {seed}.csv".replace(" ", "-")


def run_method(
    method: Method,
    split: TableSplit,
    *,
    epsilon: float,
    delta: float,
    seed: int,
    work: Path,
    cpu_seconds: float,
    memory_mb: float,
    start_ups: int = START_UPS,
) -> Outcome:
    """Synthesize as many rows as the training table has, csv to csv, under the caps."""
    try:
        python = environment_python(method.environment, work) if method.environment else Path(sys.executable)
    except RuntimeError as error:
        return Outcome("failed", f"its environment could not be made: {error}", None, None, None)
    folder = work / split.name
    folder.mkdir(parents=True, exist_ok=True)
    train, domain_file = folder / "train.csv", folder / "domain.toml"
    write_csv(split.train, split.domain, train)
    domain_file.write_text(split.domain.dumps())
    output = output_file(method, split.name, epsilon=epsilon, seed=seed, work=work)
    log, job = (output.with_name(f"{output.stem}.{end}") for end in ("log", "json"))
    output.unlink(missing_ok=True)
    job.write_text(
        json.dumps(
            {
                "train": str(train),
                "output": str(output),
                "domain": str(domain_file),
                "columns": public_columns(split.domain),
                "label": split.domain.label,
                "algorithm": method.algorithm,
                "epsilon": epsilon,
                "delta": delta,
                "seed": seed,
                "rows": len(split.train),
                "bins": PUBLIC_BINS,
                "settings": method.settings,
            }
        )
    )
    start_up = start_up_seconds(python, PEERS / method.runner, start_ups) if start_ups else None
    usage = run_capped(
        [str(python), str(PEERS / method.runner), str(job)],
        cpu_seconds=cpu_seconds,
        memory_mb=memory_mb,
        log=log,
        environment=ONE_THREAD,
    )
    if usage.stopped:
        cap = (
            f"{cpu_seconds / 60:g} CPU-minutes" if usage.stopped == "time-out" else f"{memory_mb / 1000:g} GB"
        )
        return Outcome(usage.stopped, f"stopped at the cap of {cap}", usage, start_up, None)
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if usage.code or not output.exists():
        last = next(
            (line for line in reversed(said) if any(word in line for word in ("Error", "REFUSED", "Failed"))),
            (said or ["nothing"])[-1],
        )
        status = "refused" if "REFUSED" in last else "failed"
        return Outcome(status, f"exit {usage.code}: {last[:300]}", usage, start_up, None)
    try:
        table = read_csv(output, split.domain)
    except (ValueError, KeyError) as error:
        return Outcome("failed", f"its table is not of the domain: {error}"[:300], usage, start_up, None)
    return Outcome("done", None, usage, start_up, table)


@cache
def start_up_seconds(python: Path, runner: Path, runs: int) -> float:
    """CPU seconds of the interpreter and the runner's imports alone."""
    command = [str(python), str(runner), "--imports-only"]
    caps = {"cpu_seconds": 300.0, "memory_mb": 1e5, "log": Path(os.devnull), "environment": ONE_THREAD}
    return min(run_capped(command, **caps).cpu_seconds for _ in range(runs))
