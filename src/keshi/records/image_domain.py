"""The domain of a file of labelled images, from the type of the file and the classes that its owner declares.

Pixels of bytes have public bounds, and the shape of an array in an npz or idx file is the file's, not a record's: no
record is looked at. Imports neither privacy nor networks.
"""

from __future__ import annotations

from pathlib import Path

from keshi.errors import DomainError
from keshi.records.column_kinds import MOST_CLASSES, Categorical, Image, Value
from keshi.records.domain import Domain
from keshi.records.files import column_arrays, column_types
from keshi.records.idx_files import idx_pair

CHANNELS = (1, 3, 4)  # grey, colours, colours and opacity: another last axis may be no channel at all


def image_domain(path: Path, *, label: str, classes: str) -> Domain:
    """One column of images and their label; other columns are left out.

    Args:
        path: npz or idx file.
        label: Name of the column that says the class; "label" for idx files.
        classes: How many (they are 0, 1, ...), or their names with commas between.

    Raises:
        DomainError: if the file holds something else than one column of images of bytes and this label, or the
            classes are none.
    """
    advice = f"`keshi domain {path}` drafts a domain file, where anything can be declared."
    types, arrays = column_types(path), column_arrays(path)
    if path.is_dir() and idx_pair(path) is None:
        raise DomainError(
            f"{path}: the size of pictures stands in each picture, and so it must be declared. {advice}"
        )
    images = {
        name: (*shape, 1)[:3]
        for name, (shape, dtype) in arrays.items()
        if dtype == "uint8" and len(shape) in (2, 3) and (*shape, 1)[2] in CHANNELS
    }
    if len(arrays) != 1 or not images:
        found = ", ".join(f"{name!r} ({dtype}, {shape})" for name, (shape, dtype) in arrays.items()) or "none"
        raise DomainError(
            f"{path}: without a domain file there must be one array of images: bytes (uint8) by height, width and, of "
            f"colours, {' or '.join(map(str, CHANNELS[1:]))} channels. Here the arrays are: {found}. {advice}"
        )
    others = [name for name in types if name not in arrays]
    if label not in others:
        raise DomainError(f"{path}: the label must be one of the columns {others}, got {label!r}.")
    ((name, (height, width, channels)),) = images.items()
    return Domain(
        {name: Image(height, width, channels), label: Categorical(declared_classes(classes))},
        label=label,
        ignore=tuple(other for other in others if other != label),
        source="--label and --classes",
    )


def declared_classes(classes: str) -> tuple[Value, ...]:
    """The classes that a text declares: "3" says 0, 1 and 2; "cat, dog" says these two; "3,5,8" these three."""
    names = [name.strip() for name in classes.split(",")]
    whole = all(name.isascii() and name.isdigit() for name in names)
    if len(names) == 1 and whole and 2 <= int(names[0]) <= MOST_CLASSES:
        return tuple(range(int(names[0])))
    if len(names) == 1 or not all(names):
        raise DomainError(
            f"--classes must be how many classes there are, from 2 to {MOST_CLASSES:,}, or their names with commas "
            f"between, got {classes!r}."
        )
    return tuple(int(name) if whole else name for name in names)
