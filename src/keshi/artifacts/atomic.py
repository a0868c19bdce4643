"""Files and folders that appear whole or not at all.

Everything is written under a temporary name beside its place, flushed to the disk, then renamed.
A failure (a full disk, an exception, Ctrl-C) removes the temporary name again; a killed process or a power
cut can leave a hidden `.keshi-*.partial` beside the place, never half a file under the real name.
Imports nothing but the standard library and keshi.errors.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keshi.errors import ArtifactError

RUN_FILE = "keshi-run.json"  # marks a run folder as ours, so that replacing it can never remove anything else
RUN_FORMAT = "keshi-run-1"


def write_atomically(path: str | os.PathLike[str], data: bytes, *, secret: bool = False) -> None:
    """Write one file so that a reader sees all of the old content or all of the new; a `secret` its owner alone."""
    target = _with_parent(path)
    if target.is_dir():
        raise ArtifactError(f"{target} is a folder; expected a file name. Give the name of a file in it.")
    temporary = _temporary_beside(target)
    try:
        _write_durably(temporary, data, mode=0o600 if secret else 0o666)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)


@contextmanager
def new_folder(path: str | os.PathLike[str], *, verb: str = "run", overwrite: bool = False) -> Iterator[Path]:
    """Build a run folder atomically: yields a temporary folder that becomes `path` when the block succeeds.

    The finished folder carries `keshi-run.json`, which tells a later `overwrite=True` which verb of keshi made it: a
    run replaces an earlier run of the same verb, and never an artefact, whose noise cannot be drawn again.

    Args:
        path: where the folder shall stand; its parent must exist.
        verb: what makes the run, such as "censor".
        overwrite: replace an earlier run of the same verb.

    Raises:
        ArtifactError: `path` exists and may not be replaced, or its parent does not exist.
    """
    target = Path(path)
    if overwrite and os.path.lexists(target) and _mark(target / RUN_FILE).get("verb") != verb:
        raise ArtifactError(
            f"{target} exists and is no earlier run of `keshi {verb}`, so it is not replaced. Choose another name, or "
            "move it away."
        )
    with staged_folder(path, overwrite=overwrite) as folder:
        yield folder
        mark_run(folder, verb=verb)


def mark_run(folder: Path, *, verb: str) -> None:
    """Write the mark of a run into its folder."""
    write_atomically(folder / RUN_FILE, (json.dumps({"format": RUN_FORMAT, "verb": verb}) + "\n").encode())


@contextmanager
def staged_folder(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """As new_folder, without the mark of a run."""
    target = _with_parent(path)
    refuse_to_replace(target, overwrite=overwrite)
    temporary = _temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        _fsync_tree(temporary)
        _put_in_place(temporary, target, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def refuse_to_replace(target: Path, *, overwrite: bool) -> None:
    """Raise unless `target` is free, or is an artefact or run of ours that may be replaced."""
    if not os.path.lexists(target):
        return
    if not is_keshi_folder(target):
        raise ArtifactError(
            f"{target} exists and was not written by keshi, so it is not replaced. "
            "Choose another name, or move it away."
        )
    if not overwrite:
        raise ArtifactError(f"{target} exists. Choose another name, or add --overwrite (overwrite=True).")


def leftovers(folder: Path) -> list[Path]:
    """The hidden temporaries that killed runs left in a folder; safe to delete where none is running."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.name[0] == "." and path.suffix == ".partial"]


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Delete what `leftovers` found; what cannot be deleted stays."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def is_keshi_folder(path: Path) -> bool:
    """Whether a folder carries the mark of an artefact or of a run; says nothing about its integrity."""
    if path.is_symlink() or not path.is_dir():
        return False
    marks = [_mark(path / name) for name in ("manifest.json", RUN_FILE)]
    return any(str(mark.get("format", "")).startswith("keshi-") for mark in marks)


def _mark(path: Path) -> dict[str, object]:
    """The mark that a file holds; empty where there is none."""
    try:
        mark = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in a folder survive a power cut (Windows has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _with_parent(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.abspath(path))  # resolve() would follow a symlink at the end
    if not target.parent.is_dir():
        raise ArtifactError(
            f"{target} cannot be written: the folder {target.parent} does not exist. Create it."
        )
    return target


def _temporary_beside(target: Path) -> Path:
    return target.parent / f".keshi-{secrets.token_hex(8)}.partial"


def _write_durably(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:  # less the umask
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _fsync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as stream:
                os.fsync(stream.fileno())
        fsync_folder(Path(root))


def _put_in_place(temporary: Path, target: Path, *, overwrite: bool) -> None:
    # Checked again: hours of training may lie between the first check and this one.
    refuse_to_replace(target, overwrite=overwrite)
    if not target.exists():
        os.rename(temporary, target)
        fsync_folder(target.parent)
        return
    # A folder cannot be renamed over a full one. The old one steps aside first; killed in between,
    # both stand complete beside the place, so nothing is lost.
    aside = _temporary_beside(target)
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except BaseException:
        os.rename(aside, target)
        raise
    fsync_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
