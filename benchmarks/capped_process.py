"""Run a command under a cap of CPU seconds and memory, and say what it used. Linux only: reads /proc.

A method may start processes and threads of its own; all of them count, because they share the session opened here.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.25
LARGEST_WAIT = 6.0  # wall seconds allowed for each CPU second of the cap: a method that hangs must end too
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What a command used: CPU seconds of all its processes, wall seconds, peak resident memory in MB.

    `stopped` is "time-out" or "memory" where a cap ended it, else None.
    """

    code: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    stopped: str | None


def run_capped(
    command: Sequence[str],
    *,
    cpu_seconds: float,
    memory_mb: float,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run `command`, its output into `log`, until it ends or uses more than it may."""

    def limit() -> None:
        hard = (
            int(cpu_seconds) + 30
        )  # of one process; the poll below sees all of them and is the one that counts
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))

    began = time.perf_counter()
    stopped, used, peak = None, 0.0, 0.0
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=limit,
            env=dict(os.environ) | dict(environment or {}),
        )
        while True:
            pid, status, spent = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            cpu, resident = session_usage(process.pid)
            used, peak = max(used, cpu), max(peak, resident)
            if used > cpu_seconds or time.perf_counter() - began > LARGEST_WAIT * cpu_seconds:
                stopped = "time-out"
            elif resident > memory_mb:
                stopped = "memory"
            if stopped:
                os.killpg(process.pid, signal.SIGKILL)
                _, status, spent = os.wait4(process.pid, 0)
                break
            time.sleep(POLL_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(
        status
    )  # the process is reaped; subprocess must not wait again
    return Usage(
        code=process.returncode,
        cpu_seconds=round(max(used, spent.ru_utime + spent.ru_stime), 2),
        wall_seconds=round(time.perf_counter() - began, 2),
        peak_mb=round(max(peak, spent.ru_maxrss / 1024), 1),
        stopped=stopped,
    )


def session_usage(session: int) -> tuple[float, float]:
    """CPU seconds (children that ended included) and resident MB of all processes of a session."""
    ticks = pages = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and the reading
            continue
        if int(fields[3]) == session:  # fields after the name: state, parent, group, session, ...
            ticks += sum(int(field) for field in fields[11:15])
            pages += int(fields[21])
    return ticks / _TICK, pages * _PAGE / 2**20
