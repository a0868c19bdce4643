"""Whether a run goes on with its records: their bytes and their classes decide, not what files are called."""

import json
import struct
from pathlib import Path

from keshi.cli.began_with import FILE, FORMAT, began_with, fingerprint

KEY = b"k" * 32


def idx_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, 2, 1, 1) + b"\1\2")
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 2) + b"\0\1")
    return folder


def picture_folder(folder: Path, **classes: bytes) -> Path:
    for name, content in classes.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(content)
    return folder


def test_what_the_folder_of_idx_files_is_called_does_not_matter(tmp_path, monkeypatch):
    one, other = idx_folder(tmp_path / "mnist"), idx_folder(tmp_path / "copy")
    wanted = fingerprint(one, KEY)
    assert fingerprint(other, KEY) == wanted
    assert fingerprint(other / "train-images-idx3-ubyte", KEY) == wanted  # the same records by another way
    monkeypatch.chdir(one)
    assert fingerprint(Path(), KEY) == wanted
    (other / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 2) + b"\1\0")
    assert fingerprint(other, KEY) != wanted


def test_the_class_of_a_picture_matters(tmp_path, monkeypatch):
    monkeypatch.setattr("keshi.records.array_files.picture_types", lambda path: ((1, 1), "uint8"))
    one = picture_folder(tmp_path / "one", cat=b"1", dog=b"2")
    wanted = fingerprint(one, KEY)
    assert fingerprint(picture_folder(tmp_path / "two", cat=b"1", dog=b"2"), KEY) == wanted
    assert fingerprint(picture_folder(tmp_path / "three", cat=b"1", eel=b"2"), KEY) != wanted


def test_a_fingerprint_that_is_none_is_of_no_records(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    facts = {"format": FORMAT, "key": KEY.hex(), "fingerprint": "é"}
    (tmp_path / FILE).write_text(json.dumps(facts))
    assert began_with(tmp_path, tmp_path / "rows.csv") is False
