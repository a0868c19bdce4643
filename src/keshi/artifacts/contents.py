"""What stands in the files of an artefact: strict JSON, TOML, safetensors; nothing that executes.

May import the standard library, numpy, safetensors and keshi.errors.
"""

from __future__ import annotations

import json
import math
import struct
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keshi.errors import ArtifactError


def tensors_to_bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as the bytes of one safetensors file; the same arrays give the same bytes."""
    import safetensors.numpy

    for name, array in tensors.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            what = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ArtifactError(
                f"tensor {name!r} must be a numpy array of numbers or truth values, got {what}."
            )
    native = {
        name: np.ascontiguousarray(tensors[name], dtype=tensors[name].dtype.newbyteorder("=")).reshape(
            tensors[name].shape  # ascontiguousarray makes a vector of a scalar
        )
        for name in sorted(tensors)
    }
    try:
        return safetensors.numpy.save(native)
    except Exception as error:
        raise ArtifactError(f"the tensors cannot be saved as safetensors: {error}") from error


def tensors_from_bytes(data: bytes, *, source: str) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; `source` names the file in errors."""
    import safetensors.numpy

    header_size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else -1
    if not 0 <= header_size <= len(data) - 8:
        raise ArtifactError(f"{source} is not a safetensors file, or is cut short. Copy or make it again.")
    json_from_bytes(data[8 : 8 + header_size].rstrip(b" "), source=f"the header of {source}")
    try:
        tensors = safetensors.numpy.load(data)
        # copies, because the library's arrays are read-only views of `data`
        return {name: tensors[name].copy() for name in sorted(tensors)}
    except Exception as error:  # the library raises half a dozen types on damaged input
        raise ArtifactError(
            f"{source} is not a sound safetensors file ({error}). Copy or make it again."
        ) from error


def json_to_bytes(value: Any, *, source: str = "the value", one_line: bool = False) -> bytes:
    """Canonical JSON: sorted keys, two spaces, finite numbers, text keys, UTF-8, one newline at the end.

    In `one_line` without spaces: long lists of numbers take a third of the bytes, and a tenth of the time.
    """
    _refuse_odd_keys(value, source=source)
    form: dict[str, Any] = {"separators": (",", ":")} if one_line else {"indent": 2}
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, **form)
        return text.encode("utf-8") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{source} cannot be written as JSON: {error}") from error


def json_from_bytes(data: bytes, *, source: str) -> Any:
    """JSON without the tolerances of Python's reader: UTF-8, no key twice, no NaN, no float overflow."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise ValueError(f"{text[:20]} is not a finite number")
        return number

    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=once, parse_float=finite, parse_constant=finite
        )
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{source} is not sound JSON ({error}). Copy or make it again.") from error


def refuse_content(name: str, data: bytes, *, source: Path) -> None:
    """Raise unless a json, toml or safetensors file is what its name says; other files may hold anything."""
    where = f"{source / name}"
    if name.endswith(".json"):
        json_from_bytes(data, source=where)
    elif name.endswith(".safetensors"):
        tensors_from_bytes(data, source=where)
    elif name.endswith(".toml"):
        try:
            tomllib.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where} is not sound TOML ({error}). Copy or make it again.") from error


_PLAIN = {int, float, str, bool, type(None)}  # what holds nothing else


def _refuse_odd_keys(value: Any, *, source: str, depth: int = 0) -> None:
    # json.dumps would turn the key 1 into "1" without a word, and the settings would come back changed
    if depth > 100:
        raise ArtifactError(f"{source} is nested deeper than 100 levels; expected plain JSON values.")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ArtifactError(f"{source} has the key {key!r}; expected text. Write str({key!r}).")
            _refuse_odd_keys(inner, source=source, depth=depth + 1)
    elif isinstance(value, (list, tuple)):
        if _PLAIN.issuperset(map(type, value)):  # no question to each of a million numbers
            return
        for inner in value:
            _refuse_odd_keys(inner, source=source, depth=depth + 1)
