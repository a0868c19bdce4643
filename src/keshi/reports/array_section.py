"""Sections of a report on images and windows: real and synthetic ones side by side, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.auditing.array_utility import ArrayUtility
from keshi.auditing.controlled_rate import wilson
from keshi.reports.charts import legend_of_lines, lines, number
from keshi.reports.report import Figure, Panel, Section, Table
from keshi.reports.svg import canvas, to_svg

MOST_CLASSES = 12  # that are drawn
EXAMPLES = 8  # pictures of a class, real and synthetic each
PIXELS = 24  # of the page, for the side of a picture
MOST_CHANNELS = 3  # of a window that are drawn

Arrays = Mapping[str, NDArray[np.generic]]
"""Class -> (n, ...) its arrays."""


def pictures_section(
    column: str,
    real: Arrays,
    made: Arrays,
    *,
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    name: str = "synthetic",
    beside: Mapping[str, Arrays] | None = None,
) -> Section:
    """Some real and some synthetic images of every class.

    Args:
        column: Name of the column.
        real, made: Class -> images of shape (height, width[, channels]).
        name: What stands above the made ones.
        beside: Name -> further sets, drawn in the same way.
        bounds: The lowest and the highest value of every entry, black and white in the picture.
    """
    names = [one for one in real if len(real[one]) or len(made.get(one, ()))][:MOST_CLASSES]
    sets = {"real": real, name: made, **(beside or {})}
    panels = [
        Panel(_mosaic([of[one] for one in names if one in of], bounds, what), what)
        for what, of in sets.items()
    ]
    figure = Figure(
        panels,
        f"{column[:1].upper()}{column[1:]}: one row for each class ({', '.join(names)}), {EXAMPLES} "
        "pictures each. Those on the real side are records of the data.",
        f"Grids of pictures, one row for each class: {', '.join(sets)}.",
    )
    text = (
        "Pictures say more than a distance, and prove nothing: look for shapes that are missing or all alike."
    )
    return Section(f"Pictures of {column}", text, [figure], exact=True)


def traces_section(column: str, real: Arrays, made: Arrays, *, rate: float | None = None) -> Section:
    """Mean trace and mean spectrum of every class, real against synthetic, in the first channels.

    Args:
        column: Name of the column.
        real, made: Class -> windows of shape (length, channels).
        rate: Samples per second; None draws samples, and cycles a window.
    """
    panels = []
    for name in [name for name in real if len(real[name]) and len(made.get(name, ()))][:MOST_CLASSES]:
        for channel in range(min(MOST_CHANNELS, real[name].shape[2])):
            series, spectra = [], []
            for what, of in (("synthetic", made), ("real", real)):
                traces = np.asarray(of[name][:, :, channel], dtype=float)
                time = np.arange(traces.shape[1]) / (rate or 1.0)
                series.append({"name": what, "x": time, "y": traces.mean(axis=0)})
                power = np.abs(np.fft.rfft(traces - traces.mean(axis=1, keepdims=True), axis=1)).mean(axis=0)
                cycles = np.fft.rfftfreq(traces.shape[1], 1.0 / rate) if rate else np.arange(len(power))
                spectra.append({"name": what, "x": cycles, "y": power})
            for kind, curves, x_label in (
                ("mean", series, "seconds" if rate else "sample"),
                ("spectrum", spectra, "Hz" if rate else "cycles a window"),
            ):
                alt = f"{kind} of channel {channel + 1} in class {name}, real and synthetic."
                drawn = lines(curves, x_label=x_label, y_label=kind, alt=alt)
                panels.append(Panel(drawn, f"class {name}, channel {channel + 1}: {kind}"))
    figure = Figure(
        panels,
        f"{column}: mean over the windows of a class, and mean size of their Fourier components without the constant.",
        "Line charts, real against synthetic, for each class and channel.",
        legend=legend_of_lines(("synthetic", "real")),
    )
    return Section(f"Traces of {column}", "Real windows against synthetic ones.", [figure], exact=True)


def class_means_section(column: str, distances: Sequence[tuple[str, int, float, float]]) -> Section:
    """How far the mean array of a class is from that of the real records.

    Args:
        column: Name of the column.
        distances: (class, real records, distance of the synthetic mean, distance between halves of the real ones).
    """
    table = Table(
        ("class", "real records looked at", "synthetic mean", "half of the real ones"),
        [list(row) for row in distances],
        "Root mean square distance to the mean of the real records, as a share of the declared range",
    )
    known = [row[2] for row in distances if np.isfinite(row[2])]
    halves = [row[3] for row in distances if np.isfinite(row[3])]
    highlights = []
    if known and halves:
        compared = f"{number(float(np.mean(halves)))} between halves of the real records"
        highlights.append((number(float(np.mean(known))), "distance of class means", compared))
    return Section(f"Means of {column}", "", [], [table], highlights, exact=True)


def array_utility_section(
    made: Sequence[ArrayUtility],
    real: Sequence[ArrayUtility],
    *,
    beside: Mapping[str, Sequence[ArrayUtility]] | None = None,
    test_rows: int | None = None,
) -> Section:
    """Trained on synthetic and on real records, tested on real ones that were kept aside.

    Args:
        made, real: Scores of the classifiers, in one order.
        beside: Name -> the same scores, trained on other sets.
        test_rows: Records of the test, for the interval of the accuracy.
    """
    sets = {"synthetic": made, "real": real, **(beside or {})}
    columns = ["classifier", *(f"accuracy, {name}" for name in sets)]
    columns += ["95 % interval, synthetic"] * (test_rows is not None)
    columns += [f"macro F1, {name}" for name in sets]
    rows, highlights = [], []
    for i, one in enumerate(made):
        row: list[Any] = [one.classifier, *(scores[i].accuracy for scores in sets.values())]
        compared = f"{number(real[i].accuracy)} trained on real records"
        if test_rows is not None:
            low, high = wilson(one.accuracy, test_rows)
            row.append(f"{low:.3f} to {high:.3f}")
            compared += f"; 95 % interval {low:.3f} to {high:.3f}"
        rows.append(row + [scores[i].macro_f1 for scores in sets.values()])
        highlights.append((number(one.accuracy), f"accuracy of {one.classifier}", compared))
    table = Table(columns, rows, "Trained on synthetic or on real records, tested on the hold-out")
    text = ""
    if test_rows is not None:
        seen = ", ".join(f"{one.rows:,} by {one.classifier}" for one in made)
        text = f"Tested on {test_rows:,} real records that were never released; learnt from: {seen}."
    return Section("Usefulness", text, [], [table], highlights, exact=True)


def closest_section(closest: NDArray[np.float32], text: str, *, share: str, compared: str) -> Section:
    """The synthetic images that are nearest to training images, each above the real ones it is nearest to.

    Args:
        closest: (k, 3, height, width[, channels]) in 0..1: synthetic, nearest training, nearest held-out image.
        text: Of the section.
        share, compared: Highlight: how many are nearer to training images, and what that is compared with.
    """
    shape = closest.shape[2:]
    bounds = np.zeros(shape), np.ones(shape)
    svg = _mosaic([closest[:, row] for row in range(3)], bounds, "closest")
    alt = "Three rows of pictures: synthetic, the nearest training picture, the nearest held-out picture."
    caption = (
        "The synthetic pictures that lie nearest to a training picture (first row), that picture (second row), and the "
        "nearest held-out one (third row). A copy is equal to the second row and not to the third."
    )
    highlights = [(share, "of synthetic records nearer to a training record", compared)]
    return Section("Nearest real records", text, [Figure(svg, caption, alt)], (), highlights, exact=True)


def _mosaic(
    rows: Sequence[NDArray[np.generic]],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    what: str,
) -> str:
    """A grid of pictures as one `<svg>`: a row for each class, white where there are too few."""
    lower, upper = bounds
    height, width = lower.shape[:2]
    colours = lower.shape[2] if lower.ndim == 3 and lower.shape[2] in (3, 4) else 1
    grid = np.ones((max(1, len(rows)) * (height + 1), EXAMPLES * (width + 1), colours))
    for row, images in enumerate(rows):
        for place, image in enumerate(images[:EXAMPLES]):
            shares = ((np.asarray(image, dtype=float) - lower) / (upper - lower)).reshape(height, width, -1)
            shares = shares if colours > 1 else shares.mean(axis=2, keepdims=True)
            top, left = row * (height + 1), place * (width + 1)
            grid[top : top + height, left : left + width] = np.clip(shares, 0.0, 1.0)
    with canvas(EXAMPLES * PIXELS, max(1, len(rows)) * PIXELS * height / width) as figure:
        axes = figure.add_subplot()
        axes.set_axis_off()
        pixels = grid if colours > 1 else grid[:, :, 0]
        axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="none", aspect="auto")
        return to_svg(figure, alt=f"{what} pictures, one row for each class")
