"""Progress bars on stderr; where stderr is no terminal, silence until the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int | None, str], None]
"""Called with how much is done, how much there is (None: unknown), and a note."""


@contextmanager
def progress_bar(description: str) -> Iterator[Advance]:
    """A bar that appears while the block runs.

    Example:
        >>> with progress_bar("training") as advance:
        ...     advance(10, 100, "loss 0.1")
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(description, total=None, note="")

        def advance(done: int, total: int | None, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield advance


def note(message: str) -> None:
    """Talk to the person at the terminal: stderr, so that stdout stays data."""
    print(message, file=sys.stderr)
