"""A folder in which one process at a time may work.

SQLite takes the lock, as it does for the privacy ledger: it knows how on every system (on a local disk; network folders
often do not lock), and the system lets go of it when the process ends, however that happens. No stale lock has to be
removed by hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keshi.errors import ArtifactError

LOCK_FILE = "in-use.lock"
LOCK_SECONDS = 1.0  # to wait for one who is about to end


@contextmanager
def alone_in(folder: Path, *, what: str) -> Iterator[None]:
    """Hold the lock of `folder` while the block runs; the empty lock file stays.

    Raises:
        ArtifactError: another process holds it, or it cannot be written. `what` names the work, such as "sweep".
    """
    file = folder / LOCK_FILE
    try:
        connection = sqlite3.connect(file, isolation_level=None, timeout=LOCK_SECONDS)
    except sqlite3.Error as error:
        raise ArtifactError(f"{file} cannot be opened ({error}). Make {folder} writable.") from error
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if "locked" in str(error) or "busy" in str(error):
                raise ArtifactError(
                    f"another {what} is at work in {folder}. Wait until it has ended or stop it, or choose another "
                    "folder. Nothing was changed."
                ) from None
            raise ArtifactError(
                f"{file} cannot be locked ({error}). Remove it, or choose another folder."
            ) from error
        yield
    finally:
        connection.close()
