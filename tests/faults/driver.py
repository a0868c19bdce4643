"""Runs the real command line in forked children of one warm process, and breaks them at named boundaries.

Started once by conftest.py. Everything heavy is imported before the first fork, so that a case costs what its phase
costs and not three seconds of imports. Each line on stdin is a request, each line on stdout its answer:

    {"argv": [...], "folder": ..., "faults": [...], "unprivileged": false, "trace": file} -> {"pid": 7}
    {"wait": 7} -> {"status": exit status, or -signal, "said": stdout and stderr, "cpu": seconds}

A fault is {"at": "module:name", "when": "before" | "after" | "half", "nth": 1, "do": action}: at the n-th call of that
function the child kills or interrupts itself, loses the right to write longer files, fills its disk, or waits for a
file; "set" sets options of a function, "defaults" those of a dataclass, and "fields" fields of all dataclasses of a
dictionary. "half" writes half of the data first. The trace gets a line for every draw of noise, with the hash of the
spend that paid for it.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

WARM = (
    "keshi.cli.app", "keshi.synthesis.synthesizer", "keshi.synthesis.trained_generator",
    "keshi.synthesis.reconstruction", "keshi.privacy.learned_domain",
    "keshi.auditing.table_audit", "keshi.auditing.utility", "keshi.reports.synthesis", "dp_accounting", "torch",
    "opendp.measurements", "opendp.domains", "pyarrow.parquet", "pyarrow.csv", "sklearn.linear_model", "jinja2",
    "rich.progress", "tomlkit", "torch._dynamo", "pydantic", "pydantic.dataclasses", "safetensors.numpy",
    "matplotlib.figure", "matplotlib.backends.backend_svg", "mpl_toolkits.mplot3d", "keshi.records.domain_file",
    "keshi.censoring.censor", "keshi.auditing.attackers", "keshi.reports.sweep",
)  # fmt: skip
WAIT_SECONDS = 60.0
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def act(fault: dict[str, Any]) -> None:
    if fault["do"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault["do"] == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    elif fault["do"] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.get("bytes", 1), resource.RLIM_INFINITY))
    elif fault["do"] == "fill":  # a file system of the test's own
        with suppress(OSError), open(fault["file"], "wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with open(fault["file"], "r+b") as ballast:
            ballast.truncate(ballast.seek(0, 2) - fault.get("spare", 0))  # bytes that stay free
    elif fault["do"] == "meet":  # say that one is here, and wait for the others, or for a word of the test
        Path(fault["here"]).touch()
        give_up = time.monotonic() + WAIT_SECONDS
        while not all(Path(other).exists() for other in fault["others"]):
            if time.monotonic() > give_up:
                raise TimeoutError(f"nobody came: {fault}")
            time.sleep(0.02)


def arm(fault: dict[str, Any]) -> None:
    """Wrap the function, so that its n-th call is disturbed."""
    module, name = fault["at"].split(":")
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    owner = functools.reduce(getattr, path, owner)
    original: Any = getattr(owner, last)
    calls = 0
    if fault["do"] == "set":
        setattr(owner, last, functools.partial(original, **fault["options"]))
        return
    if fault["do"] == "defaults":  # in place, so that it stays the class that other processes know
        with_default = [
            p for p in inspect.signature(original).parameters.values() if p.default is not p.empty
        ]
        original.__init__.__defaults__ = tuple(fault["options"].get(p.name, p.default) for p in with_default)
        return
    if fault["do"] == "fields":
        table: Any = original
        table.update({key: dataclasses.replace(value, **fault["fields"]) for key, value in table.items()})
        return

    @functools.wraps(original)
    def disturbed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != fault.get("nth", 1):
            return original(*arguments, **options)
        if fault["when"] == "half":
            path, data = arguments
            original(path, data[: len(data) // 2])
        if fault["when"] != "after":
            act(fault)
        result = original(*arguments, **options)
        if fault["when"] == "after":
            act(fault)
        return result

    setattr(owner, last, disturbed)


def trace_noise(trace: str) -> None:
    """Write down which spend pays for each draw, before it is drawn."""
    from keshi.privacy import mechanisms
    from keshi.privacy.ledger import PrivacyLedger

    spend, draw = PrivacyLedger.spend, mechanisms.discrete_gaussian
    paid: list[str] = []

    @functools.wraps(spend)
    def noted(*arguments: Any, **options: Any) -> Any:
        receipt = spend(*arguments, **options)
        paid[:] = [receipt.hash]
        return receipt

    @functools.wraps(draw)
    def counted(*arguments: Any, **options: Any) -> Any:
        with open(trace, "a") as lines:
            block = arguments[0].ctypes.data  # the address tells the blocks of one vector apart
            lines.write(f"{os.getpid()} {paid[0] if paid else 'unpaid'} {block}\n")
        return draw(*arguments, **options)

    PrivacyLedger.spend = noted  # type: ignore[method-assign]
    mechanisms.discrete_gaussian = counted


def drop_capabilities() -> None:
    """Let the superuser be refused by the permissions of files, as everybody else is."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for part in range(3):  # effective, permitted, inheritable
        sets[part] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH) & 0xFFFFFFFF
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def fork_after_a_release() -> None:
    """Child and parent release the same sums again, after a fork; print both."""
    import numpy as np

    from keshi.privacy.ledger import PrivacyLedger
    from keshi.privacy.mechanisms import Block, release
    from keshi.privacy.unit import PrivacyUnit

    def released(run: str) -> str:
        block = Block("sums", 8, 2.0**34, 1.0)
        with PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5) as ledger:
            noisy = release(np.zeros(8, np.int64), [block], mu=0.1, ledger=ledger, run=run, index=0, what="sums",
                            unit=PrivacyUnit(), plan_hash="")  # fmt: skip
        return json.dumps(noisy.tolist())

    print(released("first"), flush=True)
    for number in range(2):
        if os.fork() == 0:
            print(released(f"child {number}"), flush=True)
            os._exit(0)
    print(released("parent"), flush=True)
    os.wait()
    os.wait()


def child(request: dict[str, Any], output: int) -> None:
    """Become one run of the command line; never returns."""
    status = 1
    try:
        os.chdir(request["folder"])
        os.environ["KESHI_STATE"] = str(Path(request["folder"]) / "state")
        os.dup2(os.open(request["stdout"], os.O_WRONLY) if "stdout" in request else output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if request.get("temporary"):
            tempfile.tempdir = request["temporary"]
        if request.get("unprivileged"):
            drop_capabilities()
        if request.get("trace"):
            trace_noise(request["trace"])
        for fault in request.get("faults", ()):
            arm(fault)
        if request["argv"] == ["fork"]:
            fork_after_a_release()
            status = 0
        else:
            from keshi.cli.app import main

            sys.argv = ["keshi", *request["argv"]]
            main()
            status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve() -> None:
    for module in WARM:
        importlib.import_module(module)
    print(json.dumps({"ready": True}), flush=True)
    pipes: dict[int, int] = {}  # and not files, because a full disk shall not silence the message about it
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            with open(pipes.pop(request["wait"]), encoding="utf-8") as pipe:
                said = pipe.read()
            _, status, used = os.wait4(request["wait"], 0)
            status = os.waitstatus_to_exitcode(status)
            answer = {"status": status, "said": said, "cpu": used.ru_utime + used.ru_stime}
        else:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                child(request, writer)
            os.close(writer)
            pipes[pid] = reader
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
