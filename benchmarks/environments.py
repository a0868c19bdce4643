"""A virtual environment for each peer, because their pins contradict each other and ours.

The requirements files pin everything, so that a figure can be had again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).with_name("peers")
TORCH = "torch==2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"  # PyPI's build would bring gigabytes of CUDA
NEEDS_TORCH = ("opacus", "sdv", "smartnoise")  # sdv brings it through ctgan, which nothing here uses


def environment_python(name: str, work: Path) -> Path:
    """The interpreter of the environment of a peer, which is made where it is not there yet.

    Raises:
        RuntimeError: pip could not install it, with the end of its words.
    """
    folder = work / "environments" / name
    python = folder / "bin" / "python"
    if (folder / ".ready").exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if name in NEEDS_TORCH:
        _run([str(python), "-m", "pip", "install", "-q", "--no-deps", "--index-url", TORCH_INDEX, TORCH])
    _run([str(python), "-m", "pip", "install", "-q", "-r", str(PEERS / f"{name}.txt")])
    (folder / ".ready").touch()
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        end = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise RuntimeError(f"{' '.join(command[:5])} ... failed: {end}")
