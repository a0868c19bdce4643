from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keshi.artifacts import locks
from keshi.artifacts.locks import LOCK_FILE, alone_in
from keshi.errors import ArtifactError

HOLD = """
import sys, time
from pathlib import Path
from keshi.artifacts.locks import alone_in
with alone_in(Path(sys.argv[1]), what="sweep"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)


def test_the_lock_is_free_again_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), alone_in(tmp_path, what="sweep"):
        raise KeyboardInterrupt
    refused = pytest.raises(ArtifactError, match=r"another sweep is at work in .*choose another folder")
    with alone_in(tmp_path, what="sweep"), alone_in(tmp_path.parent, what="sweep"), refused:
        alone_in(tmp_path, what="sweep").__enter__()
    with alone_in(tmp_path, what="sweep"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_a_process_that_is_killed_lets_go_of_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ArtifactError, match="another sweep is at work"), alone_in(tmp_path, what="sweep"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with alone_in(tmp_path, what="sweep"):
        pass


def test_a_lock_file_that_is_something_else_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("somebody's notes, which are no lock of ours " * 50)
    refused = pytest.raises(ArtifactError, match=f"{LOCK_FILE} cannot be locked .* Remove it")
    with refused, alone_in(tmp_path, what="sweep"):
        pass
    refused = pytest.raises(ArtifactError, match=r"cannot be opened .* Make .* writable")
    with refused, alone_in(tmp_path / "none", what="sweep"):
        pass
