"""The part of keshi audit that takes images or windows: read the files, attack, compare, draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keshi.auditing.array_sets import ArraySet
    from keshi.cli.audit_output import Order

CLASS = "label"  # what a folder of pictures, and idx files, call the class


def audit_array_files(
    order: Order,
    synthetic: Path,
    train: Path,
    *,
    holdout: Path | None,
    compare: Path | None,
    label: str | None,
    extracted: str | None,
    cnn: bool,
    quick: bool,
    targets: int,
    seed: int,
) -> None:
    """Audit images or windows in npz or idx files, or in a folder of pictures for each class."""
    from keshi.auditing.array_audit import DEFAULT_CLASSIFIERS, audit_arrays
    from keshi.auditing.array_sets import holds_images
    from keshi.auditing.array_utility import CNN, LOGISTIC
    from keshi.auditing.gates import check_gates
    from keshi.cli.audit_output import deliver, side_by_side_lines
    from keshi.cli.progress import progress_bar

    files = {"synthetic": synthetic, "train": train, "holdout": holdout, "compare": compare}
    sets = {
        name: read_array_set(path, label=label, extracted=extracted)
        for name, path in files.items()
        if path is not None
    }
    with progress_bar("auditing") as advance:
        steps = iter(range(1, 100))
        found = audit_arrays(
            sets["synthetic"],
            sets["train"],
            holdout=sets.get("holdout"),
            compare=sets.get("compare"),
            classifiers=((LOGISTIC,) if quick else DEFAULT_CLASSIFIERS) + ((CNN,) if cnn else ()),
            targets=targets,
            seed=seed,
            progress=lambda what: advance(next(steps), 12, what),
        )
    gates = check_gates(found, order.limits)
    page = None
    if order.output is not None:
        from keshi.reports.array_audit import array_audit_report

        page = array_audit_report(
            found,
            real=sets["train"],
            made=sets["synthetic"],
            images=holds_images(sets["train"].records),
            title=f"Audit of {synthetic.name}",
            statement=order.promise,
            gates=gates,
            settings={"records attacked on either side, at most": targets, "release": synthetic.name},
            cost=order.cost,
        )
    name = found.extractor
    if found.extractor_accuracy is not None:
        name += f" (accuracy {found.extractor_accuracy:.3f} on {found.extractor_tested:,} held-out records)"
    deliver(order, found.to_json(), [*side_by_side_lines(found), f"Distances on: {name}."], gates, page)


def read_array_set(path: Path, *, label: str | None, extracted: str | None) -> ArraySet:
    """The images or windows of a file or folder, with their classes.

    Args:
        path: npz, idx, or a folder with a folder of pictures for each class.
        label: Array of the classes; where None, the folders' names or the labels beside idx files.
        extracted: Array of features that the user made of the records, in npz files.

    Raises:
        RecordsError: no array, or several, could be the records; or an array that was named is not there.
    """
    from keshi.auditing.array_sets import ArraySet
    from keshi.errors import RecordsError
    from keshi.records.array_files import whole_arrays

    if not path.exists():
        raise RecordsError(f"{path}: no such file.")
    arrays: dict[str, Any] = whole_arrays(path)
    if label is None and not path.name.lower().endswith(".npz") and CLASS in arrays:
        label = CLASS
    absent = [name for name in (label, extracted) if name is not None and name not in arrays]
    others = [
        name for name, one in arrays.items() if name not in (label, extracted) and one.ndim > 1 and len(one)
    ]
    if absent or len(others) != 1:
        raise RecordsError(
            f"{path}: expected one array of images or windows"
            + "".join(f" and {name!r}" for name in (label, extracted) if name is not None)
            + f"; it holds {', '.join(f'{name} {one.shape}' for name, one in arrays.items())}."
        )
    classes = None if label is None else arrays[label]
    if classes is not None:
        check_classes(path, str(label), classes, rows=len(arrays[others[0]]))
    return ArraySet(
        arrays[others[0]],
        classes,
        None if extracted is None else arrays[extracted],
    )


def check_classes(path: Path, name: str, classes: NDArray[Any], *, rows: int) -> None:
    """One class for each record: whole numbers or texts, neither scores nor one column for each class."""
    from keshi.errors import RecordsError

    if classes.ndim != 1:
        raise RecordsError(
            f"{path}: {name!r} is of shape {classes.shape}; expected one class for each record, such as its argmax."
        )
    if len(classes) != rows:
        raise RecordsError(
            f"{path}: {rows:,} records, but {len(classes):,} entries of {name!r}; save both together."
        )
    if classes.dtype.kind == "f" and not (classes == classes.round()).all():
        raise RecordsError(
            f"{path}: {name!r} holds amounts, not classes; give whole numbers or texts, or cut it first."
        )
