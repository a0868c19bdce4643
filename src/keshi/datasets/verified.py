"""Bytes that are what they should be: files of packages and downloads, checked by SHA-256 before use.

A package's file is found without importing the package, so that no code of it runs. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from keshi.errors import RecordsError


def is_installed(package: str) -> bool:
    """Whether a top-level package is there; it is not imported."""
    return importlib.util.find_spec(package) is not None


def file_of_package(package: str, *parts: str) -> Path:
    """Path of a data file inside an installed top-level package, found without importing that package.

    Raises:
        RecordsError: the package, or the file in it, is not there.
    """
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise RecordsError(
            f"this data set comes with the package {package!r}, which is not installed. "
            'Install it with: pip install "keshi[demo]"'
        )
    for folder in folders:
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise RecordsError(
        f"the installed package {package!r} has no file {'/'.join(parts)}; expected in {folders[0]}. "
        'Install the version keshi knows with: pip install --force-reinstall "keshi[demo]"'
    )


def verified_bytes(path: Path, *, sha256: str, source: str) -> bytes:
    """The whole file, after its checksum was found right; nothing of it is interpreted before.

    Args:
        path: the file.
        sha256: the checksum, 64 hexadecimal digits.
        source: where the right file comes from, for the message.

    Raises:
        RecordsError: the checksum is another one.
    """
    content = path.read_bytes()
    verify(content, sha256=sha256, what=str(path), source=source)
    return content


def verify(content: bytes, *, sha256: str, what: str, source: str) -> None:
    """Raise RecordsError unless the content has this SHA-256."""
    came = hashlib.sha256(content).hexdigest()
    if came != sha256:
        raise RecordsError(
            f"{what} was refused unopened: its SHA-256 is {came}, expected {sha256}. "
            f"Fetch it again from {source}."
        )
