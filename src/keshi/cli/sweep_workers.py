"""Cells of a sweep in processes of their own: workers train, this process gives out the cells and takes the results.

A worker ends with its parent, however that ends. What a cell has done by then stands in its checkpoint. The windows
lie in files that all workers map, so they are in memory once.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keshi.errors import KeshiError

if TYPE_CHECKING:
    from keshi.cli.censor_sweep import Cell, SweepPlan
    from keshi.records.windows import Windows

SHARED = ("x", "label", "subject", "trial", "start")  # of the windows: further columns are no part of a sweep
WINDOWS_FOLDER = "windows"  # beside the checkpoints, while workers run
LOOK_AGAIN = 1.0  # seconds after which to see whether a cell may start by now
PATIENCE = 10.0  # seconds that workers have to clean up before they are killed
# These tell the user what to do; others are bugs and need a traceback.
EXPECTED = (KeshiError, ValueError, OSError)


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    cell: Cell | None = None  # at work on it; None: idle


def run_in_processes(
    windows: Windows,
    folder: Path,
    todo: Mapping[Cell, str],
    plan: SweepPlan,
    *,
    jobs: int,
    threads: int,
    say: Callable[[str], None],
    finished: Callable[[Cell, dict[str, Any]], None],
) -> None:
    """Run the cells, with the line to announce each, in at most `jobs` processes; `finished` gets every result.

    Raises:
        ChildProcessError: a cell failed or its process was killed. All workers have ended then; the checkpoints of
            their cells are kept.
    """
    waiting = dict(todo)
    workers: list[_Worker] = []
    with _shared(windows, folder / "work" / WINDOWS_FOLDER) as shared:
        try:
            while waiting or any(worker.cell for worker in workers):
                while (cell := _next(waiting, workers, folder)) is not None:
                    worker = next((one for one in workers if one.cell is None), None)
                    if worker is None:
                        if len(workers) == jobs:
                            break
                        worker = _start(shared, folder, plan, threads)
                        workers.append(worker)
                    say(waiting.pop(cell))
                    worker.cell = cell
                    with suppress(OSError):  # it has died: the end of its messages says so below
                        worker.connection.send(cell)
                failures = []
                heard = wait([worker.connection for worker in workers], timeout=LOOK_AGAIN)
                for worker in [one for one in workers if one.connection in heard]:
                    try:
                        kind, content = worker.connection.recv()
                    except (EOFError, OSError):
                        workers.remove(worker)
                        worker.connection.close()
                        if worker.cell is not None:
                            failures.append(_death(worker, worker.cell))
                        continue
                    assert worker.cell is not None
                    if kind == "said":
                        say(f"{worker.cell.name}: {content}")
                    elif kind == "finished":
                        finished(worker.cell, content)
                        worker.cell = None
                    else:
                        failures.append(_failure(worker.cell, **content))
                if failures:  # after what the others had finished is written
                    raise failures[0]
        finally:
            _stop(workers)


def _next(waiting: Mapping[Cell, str], workers: list[_Worker], folder: Path) -> Cell | None:
    """The first cell that may start: the first of a seed trains the network that the others of that seed start from."""
    from keshi.cli.sweep_cell import plain_network

    busy = {worker.cell.seed for worker in workers if worker.cell}
    return next(
        (cell for cell in waiting if cell.seed not in busy or plain_network(folder, cell.seed).exists()), None
    )


def _context(method: str = "spawn") -> Any:
    """How workers start: not by a fork, which would copy the locks of torch's threads."""
    return multiprocessing.get_context(method)


def _start(shared: Path, folder: Path, plan: SweepPlan, threads: int) -> _Worker:
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, shared, folder, plan, threads), daemon=True)
    with _no_interrupt():
        process.start()
    theirs.close()  # or its end would never be seen here
    return _Worker(process, ours)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process that starts here takes no notice of Ctrl-C, which goes to all of them: the parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(workers: list[_Worker]) -> None:
    """End all workers: the idle by the end of their messages, the others by a signal they can clean up after."""
    for worker in workers:
        worker.connection.close()
        if worker.cell is not None:
            worker.process.terminate()
    patient_until = time.monotonic() + PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, patient_until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _death(worker: _Worker, cell: Cell) -> Exception:
    worker.process.join(PATIENCE)
    code = worker.process.exitcode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return ChildProcessError(
        f"the process of {cell.name} {how}; where memory is short, use fewer --jobs. Finished cells are in the "
        "results, the others have their checkpoints: start the sweep again to go on."
    )


def _failure(cell: Cell, *, message: str, expected: bool) -> Exception:
    if not expected:
        return RuntimeError(f"{cell.name} failed in its process:\n{message}")
    return ChildProcessError(
        f"{cell.name} failed: {message} Finished cells are in the results, the others have their checkpoints."
    )


@contextmanager
def _shared(windows: Windows, folder: Path) -> Iterator[Path]:
    """The arrays of the windows as files, one each; gone with the block, or with the next sweep after a kill."""
    import numpy as np

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for name in SHARED:
            np.save(folder / f"{name}.npy", getattr(windows, name), allow_pickle=False)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(connection: Connection, shared: Path, folder: Path, plan: SweepPlan, threads: int) -> None:
    """The life of a worker: cells come in, lines of progress and results go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is half written is removed on the way
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import numpy as np

    from keshi.cli.sweep_cell import run_cell
    from keshi.records.windows import Windows

    arrays = {name: np.load(shared / f"{name}.npy", mmap_mode="r") for name in SHARED}
    windows = Windows(**arrays)

    def tell(kind: str, content: Any) -> None:
        try:
            connection.send((kind, content))
        except OSError:  # nobody listens any more
            os._exit(1)

    with suppress(EOFError):  # there is no further cell
        while True:
            cell = connection.recv()
            try:
                found = run_cell(
                    windows, folder, cell, plan, threads=threads, say=lambda line: tell("said", line)
                )
            except EXPECTED as error:
                tell("failed", {"message": f"{type(error).__name__}: {error}", "expected": True})
            except Exception:
                tell("failed", {"message": traceback.format_exc(), "expected": False})
            else:
                tell("finished", found)


def _end_with_parent() -> None:
    """A killed parent can tell nobody; without it a cell would be trained twice at once by the next sweep."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
