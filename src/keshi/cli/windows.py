"""keshi windows: recordings cut into labelled windows, in a file that the other commands read like a table."""

from __future__ import annotations

from pathlib import Path

import typer


def windows(
    recordings: Path = typer.Argument(help="A USC-HAD folder or zip, a .csv or a .npz of recordings."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Where to (.npz): arrays x, label, subject and trial."
    ),
    label: str = typer.Option("label", help="Column or array of the label (USC-HAD knows its own)."),
    subject: str = typer.Option("subject", help="Column or array of the person."),
    trial: str = typer.Option("trial", help="Column or array of the trial, if there is one."),
    channels: str = typer.Option(None, help="Columns of a csv to use, with commas; all others by default."),
    window: int = typer.Option(30, help="Samples per window."),
    stride: int = typer.Option(None, help="Samples between windows; half a window by default."),
    preset_windows: str = typer.Option(None, help="uschad-paper (172,169 windows) or uschad-full (186,307)."),
    skip_short: bool = typer.Option(False, help="Leave out recordings shorter than a window."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output, whatever it holds."),
) -> None:
    """Cut recordings into windows. The file holds the records as they are: it is as sensitive as the recordings.

    Example: keshi windows USC-HAD/ --window 100 -o windows.npz
    """
    import pandas as pd

    from keshi._validate import one_of, positive_integer
    from keshi.cli.progress import note
    from keshi.records.array_files import as_column
    from keshi.records.recordings import read_recordings
    from keshi.records.table_output import check_table_output, write_table
    from keshi.records.windows import WINDOW_PRESETS, segment, segment_preset

    positive_integer("window (--window)", window)
    if stride is not None:
        positive_integer("stride (--stride)", stride)
    if preset_windows is not None:
        one_of("preset-windows (--preset-windows)", preset_windows, tuple(WINDOW_PRESETS))
        if stride is not None:
            raise ValueError("--preset-windows fixes its own stride; leave out --stride.")
    check_table_output(output)
    if output.suffix.lower() != ".npz":
        raise ValueError(f"{output}: windows are written as .npz; give such a name.")
    if output.exists() and not overwrite:
        raise ValueError(f"{output} exists. Choose another name, or add --overwrite.")
    names = None if channels is None else tuple(name.strip() for name in channels.split(",") if name.strip())
    found = read_recordings(recordings, label=label, subject=subject, trial=trial, channels=names)
    if preset_windows is not None:
        cut = segment_preset(found, preset_windows)
    else:
        step = max(1, window // 2) if stride is None else stride
        cut = segment(found, window=window, stride=step, too_short="skip" if skip_short else "refuse")
    table = pd.DataFrame(
        {
            "x": as_column(
                cut.x.transpose(0, 2, 1)
            ),  # (length, channels) a window: time first, as in a Window
            "label": cut.label,
            "subject": cut.subject,
            "trial": cut.trial,
        }
    )
    write_table([table], output)
    print(f"wrote {output} ({len(cut):,} windows of {cut.length} samples x {cut.channels} channels)")
    note(
        "They are the recordings, and as sensitive. Declare what is public of them before anything is released."
    )
    note(f"Next: keshi domain {output} -o windows.toml   (subject and trial: under ignore)")
