"""What `keshi censor` and `keshi sweep` do with their input: a file of recordings -> windows, and who is a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keshi.records.windows import Recording, Windows


def recorded_windows(
    file: Path,
    *,
    label: str,
    subject: str,
    trial: str,
    channels: str | None,
    rate: float | None,
    window: int,
    stride: int | None,
    preset_windows: str | None,
    unknown: str | None,
    skip_short: bool,
    uses: str | None = None,
) -> tuple[Windows, tuple | None]:
    """The windows, and the subjects that were named as strangers (None: nobody was)."""
    from keshi.records.recordings import read_recordings
    from keshi.records.windows import WINDOW_PRESETS, segment, segment_preset

    further = some_names("use", uses)
    found = read_recordings(
        file, label=label, subject=subject, trial=trial, channels=names(channels), rate=rate, further=further
    )
    strangers = _named_subjects(unknown, found) if unknown is not None else None
    if preset_windows:
        windows = segment_preset(found, preset_windows)
        return windows, WINDOW_PRESETS[preset_windows].unknown if strangers is None else strangers
    too_short = "skip" if skip_short else "refuse"
    step = max(1, window // 2) if stride is None else stride
    return segment(found, window=window, stride=step, too_short=too_short), strangers


def check_window_options(*, stride: int | None, preset_windows: str | None, split: str) -> None:
    """Raise where the options contradict each other, before anything is read."""
    from keshi._validate import one_of, positive_integer
    from keshi.records.windows import WINDOW_PRESETS

    if stride is not None:
        positive_integer("stride (--stride)", stride)
        if preset_windows:
            raise ValueError("--preset-windows fixes its own stride; leave out --stride.")
    one_of("split (--split)", split, ("blocked", "random", "trials"))
    if preset_windows is not None:
        one_of("preset-windows (--preset-windows)", preset_windows, tuple(WINDOW_PRESETS))


def names(text: str | None) -> tuple[str, ...] | None:
    """The names of a list with commas; None where the option was not given."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def some_names(option: str, text: str | None) -> tuple[str, ...]:
    """The names of a list with commas, none where the option was not given; given empty, it is refused."""
    found = names(text)
    if found == ():
        raise ValueError(
            f"{option} (--{option}) must name at least one, with commas between them, got {text!r}; leave it out."
        )
    return found or ()


def _named_subjects(text: str, recordings: list[Recording]) -> tuple:
    """The subjects that `--unknown 11,12,13` names, as the recordings spell them."""
    people = {str(recording.subject): recording.subject for recording in recordings}
    # Windows keep whole numbers and make text of everything else, such as 3.0.
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in people.values())
    by_name = people if whole else {name: name for name in people}
    wanted = names(text)
    if not wanted:
        raise ValueError(f"unknown (--unknown) must name at least one subject, got {text!r}; leave it out.")
    return tuple(by_name.get(name, name) for name in wanted)
