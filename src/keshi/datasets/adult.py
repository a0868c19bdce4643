"""UCI Adult (census income): 32,561 training and 16,281 test rows, read from the original files."""

from __future__ import annotations

import io
import os
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from keshi.datasets.verified import verify
from keshi.errors import RecordsError

DOMAIN_FILE = Path(__file__).with_name("adult.toml")  # bounds and categories, all public knowledge
LABEL = "income"
COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
)
OFFICIAL_URL = "https://archive.ics.uci.edu/static/public/2/adult.zip"
# name: (bytes, SHA-256) of the files that UCI has served since 1996
OFFICIAL_FILES = {
    "adult.data": (3_974_305, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
    "adult.test": (2_003_153, "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"),
}
LARGEST_DOWNLOAD = 10_000_000  # bytes; the official zip has about 600 kB
DOWNLOAD_SECONDS = 60


@dataclass(frozen=True)
class Adult:
    """The official split: `train` (32,561 x 15) and `test` (16,281 x 15); a missing value is NaN."""

    train: pd.DataFrame
    test: pd.DataFrame


def load_adult(path: str | os.PathLike[str], *, download: bool = False) -> Adult:
    """The Adult data from a zip, or from a folder with `adult.data` and `adult.test` (or with `adult.zip`).

    "?" is read as missing; the dot after the labels of the test file is removed. Nothing is downloaded unless
    asked.

    Licence: Creative Commons Attribution 4.0. Cite: Becker and Kohavi, "Adult", UCI Machine Learning
    Repository 1996, doi:10.24432/C5XW20.

    Args:
        path: a zip file or a folder.
        download: where `path` does not exist yet, fetch the official zip from UCI and store it there.

    Raises:
        RecordsError: a file is absent, or is not the official one.
    """
    place = Path(path)
    if download and not place.exists():
        download_adult(place)
    if place.is_dir() and not (place / "adult.data").exists() and (place / "adult.zip").exists():
        place = place / "adult.zip"
    content = {name: _official_file(place, name) for name in OFFICIAL_FILES}
    test = _read(content["adult.test"], skip_lines=1)
    test["income"] = test["income"].str.rstrip(".")
    return Adult(train=_read(content["adult.data"], skip_lines=0), test=test)


def _read(content: bytes, *, skip_lines: int) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(content),
        names=list(COLUMNS),
        skipinitialspace=True,
        na_values="?",
        keep_default_na=False,
        skiprows=skip_lines,
    )


def _official_file(place: Path, name: str) -> bytes:
    """One of the two files out of a folder or a zip, its size checked before reading, then its checksum."""
    size, sha256 = OFFICIAL_FILES[name]
    if place.is_dir():
        file = place / name
        found = file.stat().st_size if file.is_file() else None
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            found = archive.getinfo(name).file_size if name in archive.namelist() else None
    else:
        raise RecordsError(
            f"{place} is neither a folder nor a zip file. Download {OFFICIAL_URL}, or pass download=True."
        )
    if found is None:
        raise RecordsError(f"{place} has no file {name}. The official zip is at {OFFICIAL_URL}.")
    if found != size:  # also what stops a zip bomb: nothing has been unpacked yet
        raise RecordsError(f"{name} in {place} has {found:,} bytes; the official file has {size:,}.")
    if place.is_dir():
        content = (place / name).read_bytes()
    else:
        with zipfile.ZipFile(place) as archive, archive.open(name) as stream:
            content = stream.read(size + 1)
    verify(content, sha256=sha256, what=f"{name} in {place}", source=OFFICIAL_URL)
    return content


def download_adult(path: Path) -> None:
    """Fetch the official zip from UCI into the file `path`; it appears there only when complete."""
    request = urllib.request.Request(OFFICIAL_URL, headers={"User-Agent": "keshi"})
    with urllib.request.urlopen(request, timeout=DOWNLOAD_SECONDS) as answer:
        content = answer.read(LARGEST_DOWNLOAD + 1)
    if len(content) > LARGEST_DOWNLOAD:
        raise RecordsError(f"{OFFICIAL_URL} sent more than {LARGEST_DOWNLOAD:,} bytes; it was not stored.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
