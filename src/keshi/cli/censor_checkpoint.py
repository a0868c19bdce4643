"""What `keshi censor` keeps of a training until its output is written, and when that may be gone on with.

run.checkpoint/ beside run/: a folder of checkpoints for each network that is trained, and training.json, which says
what must be the same. For the owner of the data only: it holds the adversary, and the key of the noise.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.records.windows import Windows

FORMAT = "keshi-training-1"
MARK_FILE = "training.json"


def checkpoint_folder(output: Path, *, resume: bool) -> Path:
    """Where the state of the training goes.

    Raises:
        ArtifactError: there is an interrupted training that was not asked for, or none that was; or the place is taken.
    """
    from keshi.artifacts.atomic import leftovers
    from keshi.artifacts.locks import LOCK_FILE
    from keshi.errors import ArtifactError

    folder = output.with_name(output.name + ".checkpoint")
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(
            f"{folder} is a file, and the checkpoints go there. Choose another -o, or move it away."
        )
    marked = _is_marked(folder)
    there = (
        set(folder.iterdir()) - set(leftovers(folder)) if folder.exists() else set()
    )  # half a mark, of a kill
    # the lock has a journal
    if not marked and any(not one.name.startswith(LOCK_FILE) for one in there):
        raise ArtifactError(
            f"{folder} was not written by keshi, and the checkpoints go there. Choose another -o, or move it away."
        )
    if resume and not marked:
        raise ArtifactError(f"{folder} holds no interrupted training; leave --resume out.")
    if not resume and _has_state(folder):
        raise ArtifactError(
            f"{folder} holds an interrupted training: add --resume to go on with it, or remove that folder to begin "
            "anew."
        )
    return folder


@contextmanager
def kept_training(output: Path, *, resume: bool) -> Iterator[Path]:
    """The folder of checkpoints, kept where the block is interrupted with anything trained; gone once it is done."""
    from keshi.artifacts.locks import alone_in

    folder = checkpoint_folder(output, resume=resume)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone_in(folder, what="training"):
        checkpoint_folder(output, resume=resume)  # another may have been at work until now
        if not resume:  # what a kill left before anything was trained may be of other data
            (folder / MARK_FILE).unlink(missing_ok=True)
            for one in folder.iterdir():
                if one.is_dir():
                    shutil.rmtree(one)
        try:
            yield folder
        except BaseException:
            if _has_state(folder):
                print(
                    f"{folder} keeps what is trained: the command that it is of goes on with --resume",
                    file=sys.stderr,
                )
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)  # before another may begin in it


def check_same(folder: Path, settings: Mapping[str, Any], windows: Windows) -> None:
    """Note what this training is of; where another one stands in `folder`, say what differs.

    Args:
        settings: name -> JSON value, of everything that shapes the networks.
        windows: all of them: what is held out is measured after every round.

    Raises:
        ArtifactError: a setting, the windows, their labels or people are not those of the training in `folder`.
    """
    from keshi.artifacts import store
    from keshi.censoring.checkpoints import fingerprint
    from keshi.errors import ArtifactError

    data = {
        "windows": fingerprint({}, windows.x, windows.trial, windows.start),
        "labels": fingerprint({}, windows.label),
        "people": fingerprint({}, windows.subject),
    }
    mark = store.json_to_bytes({"format": FORMAT, "settings": dict(settings), "data": data})
    file = folder / MARK_FILE
    if not file.exists():
        store.write_atomically(file, mark)
        return
    there = store.json_from_bytes(file.read_bytes(), source=str(file))
    here = store.json_from_bytes(mark, source="this training")  # as values that have been in a file
    if not isinstance(there, dict) or there.get("format") != FORMAT:
        raise ArtifactError(f"{file} is no mark of a training ({FORMAT}); remove {folder} to begin anew.")
    old, new = there.get("settings", {}), here["settings"]
    differ = [
        f"{name} ({old.get(name)} there, {new.get(name)} here)"
        for name in dict.fromkeys((*new, *old))
        if old.get(name) != new.get(name)
    ]
    differ += [name for name in data if there.get("data", {}).get(name) != here["data"][name]]
    if differ:
        raise ArtifactError(
            f"{folder} holds a training with other {', '.join(differ)}. Give it the same recordings and options, or "
            "choose another -o and leave --resume out."
        )


def _is_marked(folder: Path) -> bool:
    """Whether the folder is of a training of keshi: other programs write a training.json, too."""
    from keshi.artifacts import store
    from keshi.errors import ArtifactError

    file = folder / MARK_FILE
    try:
        mark = store.json_from_bytes(file.read_bytes(), source=str(file))
    except (OSError, ArtifactError):
        return False
    return isinstance(mark, dict) and str(mark.get("format")).startswith("keshi-training-")


def _has_state(folder: Path) -> bool:
    """Whether anything trained stands there."""
    return any(folder.glob("*/*.safetensors")) or any(folder.glob("*/pretrained"))
