"""The domain of a file of labelled images, from the type of the file and the classes that its owner declares.

Pixels of bytes have public bounds, and size and names are the file's layout: nothing is read off a record. Imports
neither privacy nor networks.
"""

from __future__ import annotations

from pathlib import Path

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Image, Value
from keshi.records.domain import Domain
from keshi.records.files import column_arrays, column_types

MOST_CLASSES = 2**16  # each takes a measurement of its own: far fewer are of use


def image_domain(path: Path, *, label: str, classes: str) -> Domain:
    """One column of images and their label; other columns are left out.

    Args:
        path: npz or idx file, or a folder of pictures by class.
        label: Name of the column that says the class; "label" for idx files and pictures.
        classes: How many (they are 0, 1, ...), or their names with commas between.

    Raises:
        DomainError: if the file holds something else than one column of images of bytes and this label, or the
            classes are none.
    """
    types, arrays = column_types(path), column_arrays(path)
    why = f"{path}: without a domain file there must be"
    images = [name for name, (shape, dtype) in arrays.items() if dtype == "uint8" and len(shape) in (2, 3)]
    if len(arrays) != 1 or not images:
        found = ", ".join(f"{name!r} ({dtype}, {shape})" for name, (shape, dtype) in arrays.items()) or "none"
        raise DomainError(
            f"{why} one array of images with pixels of bytes (uint8), and here the arrays are: {found}. "
            f"`keshi domain {path}` drafts a domain file, where other bounds can be declared."
        )
    others = [name for name in types if name not in arrays]
    if label not in others:
        raise DomainError(f"{why} a label among the columns {others}, got {label!r}.")
    height, width, channels = (*arrays[images[0]][0], 1)[:3]
    return Domain(
        {images[0]: Image(height, width, channels), label: Categorical(declared_classes(classes))},
        label=label,
        ignore=tuple(name for name in others if name != label),
        source="--label and --classes",
    )


def declared_classes(classes: str) -> tuple[Value, ...]:
    """The classes that a text declares: "3" says 0, 1 and 2; "cat, dog" says these two; "3,5,8" these three."""
    names = [name.strip() for name in classes.split(",")]
    if not all(names):
        raise DomainError(f"a class has no name in {classes!r}; give how many there are, or their names.")
    whole = all(name.isdecimal() for name in names)
    if len(names) == 1 and whole:
        if int(names[0]) > MOST_CLASSES:
            raise DomainError(f"at most {MOST_CLASSES:,} classes can be told apart, got {classes}.")
        return tuple(range(int(names[0])))
    return tuple(int(name) if whole else name for name in names)
