"""The one folder format for everything keshi saves: an embedding, a generator, a censored encoder, an audit.

A folder, or a zip of it, holds plain files and `manifest.json`:

    {"checksum": sha256 of the rest, "files": {name: sha256},
     "format": "keshi-artifact-1", "kind": one of KINDS, "settings": {...}}

The same content gives the same bytes: sorted keys, no times, no compression. Loading reads every byte once,
checks all of it and only then returns; it executes nothing and knows no pickle. The hashes guard against
accidents and half-edited copies. They are no signature: whoever rewrites the folder can rewrite them too.
May import the standard library, keshi.errors and the other files of this folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keshi.artifacts.archives import read_zip, refuse_size
from keshi.artifacts.atomic import (
    is_keshi_folder,
    new_folder,
    refuse_to_replace,
    staged_folder,
    write_atomically,
)
from keshi.artifacts.contents import (
    json_from_bytes,
    json_to_bytes,
    refuse_content,
    tensors_from_bytes,
    tensors_to_bytes,
)
from keshi.errors import ArtifactError

__all__ = [
    "KINDS",
    "Artifact",
    "is_keshi_folder",
    "json_from_bytes",
    "json_to_bytes",
    "load",
    "new_folder",
    "save",
    "tensors_from_bytes",
    "tensors_to_bytes",
    "write_atomically",
]

FORMAT = "keshi-artifact-1"
MANIFEST = "manifest.json"
KINDS = ("embedding", "generator", "censored-encoder", "audit")
# What a file may be called: portable to every file system, of a type that nobody executes by reading it.
SUFFIXES = ("json", "toml", "safetensors", "txt", "md", "csv", "parquet", "html", "svg", "onnx")
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,100}}\.(?:{'|'.join(SUFFIXES)})")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)\..*", re.IGNORECASE)  # devices on Windows


@dataclass(frozen=True)
class Artifact:
    """A saved thing, read whole and checked.

    Attributes:
        kind: one of KINDS.
        settings: what was saved as settings (JSON values).
        files: name -> content.
        path: where it was read.
    """

    kind: str
    settings: dict[str, Any]
    files: dict[str, bytes]
    path: Path


def save(
    path: str | os.PathLike[str],
    *,
    kind: str,
    settings: Mapping[str, Any],
    files: Mapping[str, bytes],
    overwrite: bool = False,
) -> None:
    """Write an artefact: a folder, or one zip file where `path` ends with .zip; whole or not at all.

    Example:
        >>> save("people.embedding", kind="embedding", settings={"k": 3000}, files={"notes.txt": b"hello"})
        >>> load("people.embedding", kind="embedding").files["notes.txt"]
        b'hello'

    Args:
        path: the name of the new folder or zip file.
        kind: one of KINDS.
        settings: JSON values with text keys and finite numbers.
        files: name -> content; json, toml and safetensors files must be what their names say.
        overwrite: replace an artefact that stands there already.

    Raises:
        ArtifactError: something cannot be saved so that it would load again, or `path` may not be replaced.
        OSError: the disk is full or read-only; nothing half-written is left behind.
    """
    target = Path(path)
    contents = {name: bytes(data) for name, data in files.items()}
    _refuse_names(list(contents), source=target)
    for name, data in contents.items():
        refuse_content(name, data, source=target)
    entries = {MANIFEST: _manifest_bytes(kind, dict(settings), contents, source=target), **contents}
    refuse_size({name: len(data) for name, data in entries.items()}, source=target)
    if target.suffix.lower() == ".zip":
        _save_zip(target, entries, overwrite=overwrite)
        return
    with staged_folder(target, overwrite=overwrite) as folder:
        for name, data in entries.items():
            (folder / name).write_bytes(data)


def load(path: str | os.PathLike[str], *, kind: str | None = None) -> Artifact:
    """Read an artefact and check all of it before returning any of it.

    Args:
        path: an artefact's folder, or a zip of it.
        kind: the kind the caller needs; None takes any.

    Raises:
        ArtifactError: there is nothing, or it is altered, incomplete, of another kind or version, or unsafe.
    """
    source = Path(path)
    entries = _read_folder(source) if source.is_dir() else _read_zip_file(source)
    if MANIFEST not in entries:
        raise ArtifactError(f"{source} has no {MANIFEST}, so it is not a keshi artefact. Check the path.")
    manifest = _checked_manifest(entries.pop(MANIFEST), source=source / MANIFEST)
    if kind is not None and manifest["kind"] != kind:
        raise ArtifactError(
            f"{source} is of kind {manifest['kind']!r}; expected {kind!r}. Give another path."
        )
    expected: dict[str, str] = manifest["files"]
    again = "Copy or make the artefact again."
    if missing := sorted(expected.keys() - entries.keys()):
        raise ArtifactError(f"{source} lacks {', '.join(missing)}, which its manifest names. {again}")
    if extra := sorted(entries.keys() - expected.keys()):
        raise ArtifactError(
            f"{source} also holds {', '.join(map(repr, extra))}, which its manifest does not name. "
            "Move that out of the folder."
        )
    for name, data in entries.items():
        if hashlib.sha256(data).hexdigest() != expected[name]:
            raise ArtifactError(
                f"{source / name} was altered after it was saved (its sha256 differs). {again}"
            )
        refuse_content(name, data, source=source)
    return Artifact(manifest["kind"], manifest["settings"], entries, source)


def _refuse_names(names: list[str], *, source: Path) -> None:
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or RESERVED.match(name) or name == MANIFEST:
            raise ArtifactError(
                f"{source}: {name!r} is no name for a file of an artefact; expected letters, digits, _ . - "
                f"and one of the endings {', '.join(SUFFIXES)}, without folders."
            )
    if len({name.casefold() for name in names} | {MANIFEST}) < len(names) + 1:
        raise ArtifactError(f"{source}: two file names differ only in capitals; expected distinct names.")


def _manifest_bytes(kind: str, settings: dict[str, Any], files: dict[str, bytes], *, source: Path) -> bytes:
    if kind not in KINDS:
        raise ArtifactError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}.")
    body = {
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "format": FORMAT,
        "kind": kind,
        "settings": settings,
    }
    # In one line: the cells of a table of many columns are long lists of numbers.
    plain = json_to_bytes(body, source=f"{source}: settings", one_line=True)
    return json_to_bytes({"checksum": hashlib.sha256(plain).hexdigest(), **body}, one_line=True)


def _checked_manifest(data: bytes, *, source: Path) -> dict[str, Any]:
    manifest = json_from_bytes(data, source=str(source))
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ArtifactError(
            f"{source} has the format {found!r}; this version of keshi reads {FORMAT!r}. "
            "Use the version of keshi that wrote it, or make the artefact again."
        )
    types = {"checksum": str, "files": dict, "format": str, "kind": str, "settings": dict}
    if manifest.keys() != types.keys() or not all(isinstance(manifest[k], t) for k, t in types.items()):
        raise ArtifactError(
            f"{source} must hold exactly {', '.join(types)}, each of its type. Make it again."
        )
    if manifest["kind"] not in KINDS:
        raise ArtifactError(
            f"{source} has the kind {manifest['kind']!r}; expected one of {', '.join(KINDS)}."
        )
    _refuse_names(list(manifest["files"]), source=source)
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    # The bytes must be the canonical ones, so that a flipped bit anywhere in the manifest shows. Manifests of many
    # lines are those of earlier versions: an embedding cannot be made again without spending its budget again.
    one_line = data.count(b"\n") == 1
    if (
        json_to_bytes(manifest, one_line=one_line) != data
        or hashlib.sha256(json_to_bytes(body, one_line=one_line)).hexdigest() != manifest["checksum"]
    ):
        raise ArtifactError(
            f"{source} was altered after it was saved (its checksum differs). Copy or make it again."
        )
    return manifest


def _read_folder(folder: Path) -> dict[str, bytes]:
    with os.scandir(folder) as scan:
        found = sorted(scan, key=lambda entry: entry.name)
    for entry in found:
        # a symlink could lead out of the folder, a named pipe would block for ever
        if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            if (folder / MANIFEST).is_file():
                raise ArtifactError(
                    f"{folder / entry.name} is a folder, a link or a device; expected plain files only. "
                    "Move it out of the folder."
                )
            raise ArtifactError(f"{folder} has no {MANIFEST}, so it is not a keshi artefact. Check the path.")
    refuse_size({entry.name: entry.stat(follow_symlinks=False).st_size for entry in found}, source=folder)
    if MANIFEST not in {entry.name for entry in found}:
        return {}
    return {entry.name: _read_plain(folder / entry.name) for entry in found}


def _read_plain(path: Path) -> bytes:
    # opened without following links or waiting, in case the file was exchanged since it was listed
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(os.open(path, flags), "rb") as stream:
        return stream.read()


def _read_zip_file(source: Path) -> dict[str, bytes]:
    if not os.path.lexists(source):
        raise ArtifactError(
            f"{source} does not exist; expected the folder of a keshi artefact, or a zip of it."
        )
    if not source.is_file():
        raise ArtifactError(
            f"{source} is neither a folder nor a file; expected a keshi artefact, or a zip of it."
        )
    return read_zip(source, manifest=MANIFEST)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise unless an artefact, a folder or a .zip, may be written to `target`."""
    if target.suffix != ".zip" or not os.path.lexists(target):
        refuse_to_replace(target, overwrite=overwrite)
        return
    try:
        load(target)
    except ArtifactError:
        refuse_to_replace(target, overwrite=False)
    if not overwrite:
        raise ArtifactError(f"{target} exists. Choose another name, or add --overwrite (overwrite=True).")


def _save_zip(target: Path, entries: dict[str, bytes], *, overwrite: bool) -> None:
    check_target(target, overwrite=overwrite)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            archive.writestr(
                zipfile.ZipInfo(name), entries[name]
            )  # ZipInfo's own date: 1980, the same for all
    write_atomically(target, buffer.getvalue())
