"""Which records a run began with: a keyed fingerprint in its private folder, for `keshi synthesize --resume`.

The private report of a resumed run compares the release with the records; with those of another table it would be a
report of nothing. What tells two tables apart depends on every record, so it is no part of what a release promises: it
stands in private/ alone, beside the exact statistics, readable by its owner. Its key is drawn for each run, so that two
private folders do not tell whether they are of the same table. Whoever holds it and all records but one could try out
the last: as with the report beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keshi.errors import ArtifactError

FILE = "began-with.json"
FORMAT = "keshi-began-with-1"
_CHUNK = 2**20  # bytes read at a time: memory does not grow with the table


def fingerprint(records: Path, key: bytes) -> str:
    """HMAC-SHA256 of the bytes of the files that hold the records; what they are called does not enter.

    Raises:
        RecordsError: if there are no such files.
    """
    from keshi.records.files import record_files

    digest = hmac.new(key, digestmod=hashlib.sha256)
    for file in record_files(records):
        # The class of a picture is the name of its folder; what the folder of all is called says nothing.
        label = b"" if file.parent in (records, records.parent) else file.parent.name.encode()
        own = hmac.new(key, label, hashlib.sha256)
        with open(file, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                own.update(chunk)
        digest.update(own.digest())  # of a fixed length, so that no two folders of files read alike
    return digest.hexdigest()


@contextmanager
def remembered(private: Path, key: bytes, found: str) -> Iterator[None]:
    """Write the fingerprint before the block, which saves what was paid for; take it back if the block fails."""
    from keshi.artifacts.atomic import write_atomically
    from keshi.artifacts.store import json_to_bytes

    facts = {"format": FORMAT, "key": key.hex(), "fingerprint": found}
    write_atomically(private / FILE, json_to_bytes(facts), secret=True)
    try:
        yield
    except BaseException:
        (private / FILE).unlink(missing_ok=True)
        raise


def new_key() -> bytes:
    """A key for one run."""
    return secrets.token_bytes(32)


def began_with(private: Path, records: Path) -> bool | None:
    """Whether a run began with these records; None where its private folder does not say.

    Raises:
        ArtifactError: if what its private folder says cannot be read.
    """
    from keshi.artifacts.store import json_from_bytes

    file = private / FILE
    if not file.exists():
        return None
    facts = json_from_bytes(file.read_bytes(), source=str(file))
    try:
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']!r}")
        key, known = bytes.fromhex(facts["key"]), str(facts["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{file}: this does not say which records the run began with ({error}). Restore it from a copy, or remove "
            "it and see to it yourself that they are the same."
        ) from error
    return hmac.compare_digest(known.encode(), fingerprint(records, key).encode())
