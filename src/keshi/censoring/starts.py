"""Where a fit begins instead of with label training, and what a saved encoder says of how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keshi.censoring.checkpoints import OTHER, PRETRAINED_FOLDER, Checkpoint, fingerprint
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.schedules import Schedule
from keshi.errors import ArtifactError, DomainError


def checkpoint_of(
    folder: str | Path,
    every: int,
    settings: Mapping[str, Any],
    start: CensoredEncoder | None,
    *data: np.ndarray,
) -> Checkpoint:
    """The checkpoint of a fit with these settings, from `start`, on these arrays."""
    begin = [] if start is None else [start.weights[name] for name in sorted(start.weights)]
    return Checkpoint(Path(folder), fingerprint(settings, *data, *begin), every)


def keep_start(saved: Checkpoint, freeze: Callable[..., CensoredEncoder]) -> None:
    """Save the network that was trained for the label, for `saved_start`; the state of its epochs is done with."""
    saved.folder.mkdir(parents=True, exist_ok=True)
    freeze(settings={"fingerprint": saved.fingerprint}).save(saved.folder / PRETRAINED_FOLDER)
    saved.epochs.file.unlink(missing_ok=True)


def saved_start(saved: Checkpoint) -> CensoredEncoder | None:
    """The network that an interrupted fit had trained for the label; None where it did not get so far."""
    folder = saved.folder / PRETRAINED_FOLDER
    if not folder.exists():
        return None
    found = CensoredEncoder.load(folder)
    if found.settings.get("fingerprint") != saved.fingerprint:
        raise ArtifactError(f"{saved.folder} {OTHER}")
    return found


def options_to_save(
    given: Mapping[str, Any], schedule: Schedule, method: str, preset: str, game_options: Mapping[str, str]
) -> dict[str, Any]:
    """What a saved encoder says of the Censor that made it: JSON values; `saved_options` reads them."""
    return {
        "method": method,
        "strength": float(given["strength"]),
        "preset": preset,
        **{name: given[name] for name in ("seed", "threads", "guard")},
        "features": schedule.features,
        "schedule": asdict(schedule),
        "options": dict(game_options),
    }


def saved_options(encoder: CensoredEncoder) -> dict[str, Any]:
    """The options of the Censor that made an encoder; one that was not saved is left to its default."""
    made = encoder.settings
    return {
        "method": made.get("method", "cnn"),
        "preset": Schedule(**made["schedule"]) if "schedule" in made else "paper",
        "features": encoder.features,
        **{name: made[name] for name in ("strength", "seed", "threads", "guard") if name in made},
        **made.get("options", {}),
    }


def check_start(start: CensoredEncoder, wanted: CensoredEncoder) -> None:
    """Raise where `start` is of other windows or labels than `wanted`."""
    for name in ("labels", "channels", "length", "features", "noise"):
        if getattr(start, name) != getattr(wanted, name):
            raise DomainError(
                f"start= has {name} {getattr(start, name)!r}, these windows need {getattr(wanted, name)!r}; "
                "begin with an encoder of the same data, or without start=."
            )
