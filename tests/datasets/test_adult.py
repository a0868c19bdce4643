import hashlib
import io
import os
import tomllib
import zipfile
from pathlib import Path

import pytest

from keshi.datasets import adult as module
from keshi.datasets.adult import COLUMNS, DOMAIN_FILE, load_adult
from keshi.errors import RecordsError

real = pytest.mark.skipif(
    "KESHI_DATA" not in os.environ, reason="KESHI_DATA names no folder with the real data"
)
ROW = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, ?, Not-in-family, White, Male, "
    "2174, 0, 40, United-States, "
)
TRAIN = (ROW + "<=50K\n\n").encode()
TEST = ("|1x3 Cross validator\n" + ROW + ">50K.\n\n").encode()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A folder in the official layout with one row a file, and checksums to match."""
    files = {"adult.data": TRAIN, "adult.test": TEST}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    known = {name: (len(c), hashlib.sha256(c).hexdigest()) for name, c in files.items()}
    monkeypatch.setattr(module, "OFFICIAL_FILES", known)
    return tmp_path


def zipped(folder):
    with zipfile.ZipFile(folder / "adult.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("adult.data", "adult.test"):
            archive.write(folder / name, name)
    return folder / "adult.zip"


def test_oddities_of_the_files_are_read_as_what_they_mean(small):
    data = load_adult(small)
    assert tuple(data.train.columns) == COLUMNS
    assert len(data.train) == len(data.test) == 1
    assert data.train["occupation"].isna().all()
    assert data.train["age"].item() == 39
    assert data.train["income"].item() == "<=50K"
    assert data.test["income"].item() == ">50K"


def test_a_zip_and_a_folder_holding_the_zip_give_the_same_tables(small):
    archive = zipped(small)
    first = load_adult(archive).train
    (small / "adult.data").unlink()
    assert first.equals(load_adult(small).train)


def test_a_changed_byte_is_refused(small):
    (small / "adult.data").write_bytes(TRAIN.replace(b"39", b"40"))
    with pytest.raises(RecordsError, match=r"adult\.data.*refused unopened"):
        load_adult(small)


def test_a_zip_bomb_is_refused_by_its_size_before_unpacking(small, monkeypatch):
    (small / "adult.data").write_bytes(b"0" * 50_000_000)
    archive = zipped(small)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("something was unpacked"))
    with pytest.raises(RecordsError, match="50,000,000 bytes"):
        load_adult(archive)


def test_what_is_absent_is_named_with_the_official_source(small, tmp_path):
    with pytest.raises(RecordsError, match=r"archive\.ics\.uci\.edu.*download=True"):
        load_adult(tmp_path / "nowhere.zip")
    (small / "adult.test").unlink()
    with pytest.raises(RecordsError, match=r"no file adult\.test"):
        load_adult(small)


def test_nothing_is_downloaded_unless_asked_and_then_only_from_the_official_address(small, monkeypatch):
    content, asked = zipped(small).read_bytes(), []

    def answer(request, timeout):
        asked.append(request.full_url)
        return io.BytesIO(content)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    target = small / "new" / "adult.zip"
    with pytest.raises(RecordsError):
        load_adult(target)
    assert asked == []
    assert len(load_adult(target, download=True).train) == 1
    assert asked == ["https://archive.ics.uci.edu/static/public/2/adult.zip"]
    assert [p.name for p in target.parent.iterdir()] == ["adult.zip"]


@real
def test_the_official_files_have_the_known_shape_and_fit_the_domain():
    data = load_adult(Path(os.environ["KESHI_DATA"], "adult"))
    assert data.train.shape == (32_561, 15)
    assert data.test.shape == (16_281, 15)
    domain = tomllib.loads(DOMAIN_FILE.read_text())
    assert list(domain["columns"]) == list(COLUMNS)
    for table in (data.train, data.test):
        for name, column in domain["columns"].items():
            if column["type"] == "categorical":
                assert set(table[name].dropna()) <= set(column["categories"])
                assert column.get("missing", False) or not table[name].isna().any()
            else:
                assert table[name].between(column["lower"], column["upper"]).mean() > 0.999
