"""What save and load promise: the same content comes back, or an ArtifactError that names the file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
import resource
import signal
import stat
import string
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keshi.artifacts import archives
from keshi.artifacts.store import (
    RESERVED,
    SUFFIXES,
    load,
    new_folder,
    save,
    tensors_from_bytes,
    tensors_to_bytes,
    write_atomically,
)
from keshi.errors import ArtifactError

SETTINGS = {"frequencies": 3, "epsilon": 1.0, "names": ["age", "größe"], "nested": {"a": None, "b": [1, 2.5]}}
WEIGHTS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": -np.arange(6, dtype=np.float32).reshape(2, 3),
}


def files() -> dict[str, bytes]:
    return {
        "values.safetensors": tensors_to_bytes(WEIGHTS),
        "other.safetensors": tensors_to_bytes({"a": WEIGHTS["b"], "b": WEIGHTS["a"]}),
        "statement.json": b'{"epsilon": 1.0}',
        "domain.toml": b'[columns.age]\nkind = "numerical"\n',
        "notes.txt": bytes(range(256)),
    }


class Trap:
    """Unpickling this writes a file: the sign that something was executed."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.sign, "executed"))


# --- attacks on a folder: each changes one sound artefact ------------------------------------------

Attack = Callable[[Path], None]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


def edit_manifest(folder: Path, change: Callable[[dict], None], **form: object) -> None:
    """Change the manifest as a forger would: the hashes and the checksum are made to fit again."""
    path = folder / "manifest.json"
    body = json.loads(path.read_bytes())
    body.pop("checksum", None)
    plain = [entry for entry in folder.iterdir() if entry.name != "manifest.json" and entry.is_file()]
    body["files"] = {entry.name: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in plain}
    change(body)

    def canonical(value: object) -> bytes:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, **(form or {"separators": (",", ":")}))  # type: ignore[arg-type]
        return (text + "\n").encode()

    body["checksum"] = hashlib.sha256(canonical(body)).hexdigest()
    path.write_bytes(canonical(body))


@attack
def a_file_is_missing(folder: Path) -> None:
    (folder / "notes.txt").unlink()


@attack
def the_manifest_is_missing(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@attack
def the_manifest_is_empty(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"")


@attack
def a_file_is_added(folder: Path) -> None:
    (folder / "extra.txt").write_bytes(b"")


@attack
def a_hidden_file_is_added(folder: Path) -> None:
    (folder / ".hidden").write_bytes(b"")


@attack
def a_folder_is_added(folder: Path) -> None:
    (folder / "inner").mkdir()


@attack
def a_file_is_a_symlink_to_the_same_bytes(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_bytes((folder / "notes.txt").read_bytes())
    (folder / "notes.txt").unlink()
    (folder / "notes.txt").symlink_to(outside)


@attack
def the_manifest_is_a_symlink(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "elsewhere.json")
    (folder / "manifest.json").symlink_to(folder.parent / "elsewhere.json")


@attack
def a_symlink_dangles(folder: Path) -> None:
    (folder / "notes.txt").unlink()
    (folder / "notes.txt").symlink_to("/nowhere")


@attack
def a_named_pipe_waits_for_ever(folder: Path) -> None:
    (folder / "notes.txt").unlink()
    os.mkfifo(folder / "notes.txt")


@attack
def two_tensor_files_are_swapped(folder: Path) -> None:
    one, two = folder / "values.safetensors", folder / "other.safetensors"
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)


@attack
def two_tensors_in_a_file_are_swapped(folder: Path) -> None:
    swapped = tensors_to_bytes({"a": WEIGHTS["b"], "b": WEIGHTS["a"]})
    (folder / "values.safetensors").write_bytes(swapped)


@attack
def a_tensor_is_missing(folder: Path) -> None:
    (folder / "values.safetensors").write_bytes(tensors_to_bytes({"a": WEIGHTS["a"]}))


@attack
def a_byte_is_appended(folder: Path) -> None:
    with open(folder / "notes.txt", "ab") as stream:
        stream.write(b"!")


@attack
def the_manifest_is_indented_otherwise(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes())))


@attack
def the_line_ends_become_those_of_windows(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@attack
def a_setting_is_edited(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"epsilon":1.0', b'"epsilon":9.0'))


@attack
def the_hash_of_a_file_is_wrong(folder: Path) -> None:
    edit_manifest(folder, lambda body: body["files"].update({"notes.txt": "0" * 64}))


@attack
def the_hash_of_a_file_is_no_text(folder: Path) -> None:
    edit_manifest(folder, lambda body: body["files"].update({"notes.txt": 0}))


@attack
def the_manifest_is_a_list(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[]\n")


@attack
def the_manifest_is_not_utf_8(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().decode().encode("latin-1"))


@attack
def the_manifest_begins_with_a_byte_order_mark(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


@attack
def the_manifest_is_nested_a_hundred_thousand_deep(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@attack
def the_manifest_is_huge(folder: Path) -> None:
    with open(folder / "manifest.json", "wb") as stream:
        stream.truncate(archives.MAX_MANIFEST_BYTES + 1)


@attack
def a_sparse_file_pretends_to_be_a_terabyte(folder: Path) -> None:
    with open(folder / "notes.txt", "wb") as stream:
        stream.truncate(1 << 40)


@attack
def there_are_too_many_files(folder: Path) -> None:
    for number in range(archives.MAX_FILES + 1):
        (folder / f"{number}.txt").touch()


for key in ("format", "kind", "settings", "files", "checksum"):

    def a_key_stands_twice(folder: Path, key: str = key) -> None:
        path = folder / "manifest.json"
        again = json.dumps({key: json.loads(path.read_bytes())[key]}).encode()[1:-1]
        path.write_bytes(b"{" + again + b"," + path.read_bytes()[1:])

    def a_key_is_missing(folder: Path, key: str = key) -> None:
        body = json.loads((folder / "manifest.json").read_bytes())
        del body[key]
        (folder / "manifest.json").write_text(json.dumps(body, sort_keys=True, indent=2) + "\n")

    def a_key_is_of_another_type(folder: Path, key: str = key) -> None:
        edit_manifest(folder, lambda body: body.update({key: 7}))

    ATTACKS[f"{key} stands twice"] = a_key_stands_twice
    ATTACKS[f"{key} is missing"] = a_key_is_missing
    if key != "checksum":
        ATTACKS[f"{key} is a number"] = a_key_is_of_another_type

for version in (
    "keshi-artifact-0",
    "keshi-artifact-2",
    "keshi-artifact-1 ",
    "KESHI-ARTIFACT-1",
    "",
    None,
    ["x"],
):
    ATTACKS[f"the format is {version!r}"] = lambda folder, version=version: edit_manifest(
        folder, lambda body: body.update(format=version)
    )
for kind in ("model", "", "Embedding", "../embedding", None):
    ATTACKS[f"the kind is {kind!r}"] = lambda folder, kind=kind: edit_manifest(
        folder, lambda body: body.update(kind=kind)
    )
for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
    ATTACKS[f"a setting is {number}"] = lambda folder, number=number: (folder / "manifest.json").write_bytes(
        (folder / "manifest.json").read_bytes().replace(b'"epsilon":1.0', f'"epsilon":{number}'.encode())
    )
ATTACKS["the manifest has a further key"] = lambda folder: edit_manifest(
    folder, lambda body: body.update(run="sh")
)

LEAVING = (
    "../outside.txt",
    "..",
    ".",
    "",
    "/etc/passwd",
    "//host/share.txt",
    "inner/notes.txt",
    "inner\\notes.txt",
    "..\\outside.txt",
    "C:\\outside.txt",
    "C:outside.txt",
    "\\\\host\\share.txt",
    "notes.txt\0.json",
    "notes\n.txt",
    "~/notes.txt",
    "$HOME.txt",
    "con.txt",
    "NUL.json",
    "manifest.json",
    "Manifest.json",
    ".hidden.txt",
    "-rf.txt",
    "notes.txt.",
    "notes.txt ",
    "notes.txt:stream",
    "nötes.txt",
    "a" * 300 + ".txt",
    "NOTES.txt",  # the same file as notes.txt on a Mac
)
for name in LEAVING:
    ATTACKS[f"the manifest names {name[:30]!r}"] = lambda folder, name=name: edit_manifest(
        folder, lambda body: body["files"].update({name: hashlib.sha256(b"").hexdigest()})
    )

NAMES = ("manifest.json", *files())
for name in NAMES:
    for how, pickled in (("protocol 0", 0), ("protocol 2", 2), ("protocol 5", 5)):

        def a_pickle_is_planted(folder: Path, name: str = name, pickled: int = pickled) -> None:
            (folder / name).write_bytes(pickle.dumps(Trap(folder.parent / "executed"), protocol=pickled))

        ATTACKS[f"a pickle of {how} under the name {name}"] = a_pickle_is_planted
    for share in (0.0, 0.3, 0.9):
        ATTACKS[f"{name} is cut to {share:.0%}"] = lambda folder, name=name, share=share: os.truncate(
            folder / name, int((folder / name).stat().st_size * share)
        )
for name in (
    "model.pkl",
    "model.pickle",
    "model.pt",
    "model.pth",
    "model.joblib",
    "model.npy",
    "data.pkl",
    "model.bin",
):

    def a_pickle_is_added_and_named(folder: Path, name: str = name) -> None:
        (folder / name).write_bytes(pickle.dumps(Trap(folder.parent / "executed")))
        edit_manifest(folder, lambda body: None)

    ATTACKS[f"a pickle {name} with a fitting manifest"] = a_pickle_is_added_and_named
for name in ("values.safetensors", "statement.json", "domain.toml"):

    def a_pickle_with_the_right_hash(folder: Path, name: str = name) -> None:
        (folder / name).write_bytes(pickle.dumps(Trap(folder.parent / "executed")))
        edit_manifest(folder, lambda body: None)

    ATTACKS[f"a pickle under the name {name} with the right hash"] = a_pickle_with_the_right_hash

BAD_CONTENTS = {
    "a header longer than the file": ("values.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    "a header that names a tensor twice": (
        "values.safetensors",
        (lambda h: len(h).to_bytes(8, "little") + h + b"\0\0\0\0")(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        ),
    ),
    "offsets beyond the file": (
        "values.safetensors",
        (lambda h: len(h).to_bytes(8, "little") + h)(
            b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
        ),
    ),
    "a shape that does not fit its bytes": (
        "values.safetensors",
        (lambda h: len(h).to_bytes(8, "little") + h + b"\0" * 8)(
            b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'
        ),
    ),
    "a statement with NaN": ("statement.json", b'{"epsilon": NaN}'),
    "a statement with a key twice": ("statement.json", b'{"epsilon": 9, "epsilon": 1}'),
    "a statement with an overflow": ("statement.json", b'{"epsilon": 1e999}'),
    "a statement in latin-1": ("statement.json", '{"unit": "für"}'.encode("latin-1")),
    "a domain with a key twice": ("domain.toml", b"a = 1\na = 2\n"),
    "a domain in latin-1": ("domain.toml", 'a = "ü"'.encode("latin-1")),
}
for what, (name, content) in BAD_CONTENTS.items():

    def bad_content_with_the_right_hash(folder: Path, name: str = name, content: bytes = content) -> None:
        (folder / name).write_bytes(content)
        edit_manifest(folder, lambda body: None)

    ATTACKS[f"{what}, with the right hash"] = bad_content_with_the_right_hash


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attacked_folder_is_refused_by_name_and_nothing_is_executed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "people.embedding"
    save(folder, kind="embedding", settings=SETTINGS, files=files())
    ATTACKS[name](folder)
    with pytest.raises(ArtifactError, match=r"people\.embedding"):
        load(folder)
    assert not (tmp_path / "executed").exists()


def test_the_trap_used_by_the_attacks_would_go_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


# --- attacks on a zip file -------------------------------------------------------------------------


def sound_entries(tmp_path: Path) -> dict[str, bytes]:
    save(tmp_path / "sound", kind="embedding", settings=SETTINGS, files=files())
    return {entry.name: entry.read_bytes() for entry in sorted((tmp_path / "sound").iterdir())}


def info(name: str, *, mode: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


ZIP_ENTRIES: dict[str, zipfile.ZipInfo] = {
    f"an entry named {name[:30]!r}": info(name)
    for name in (*(n for n in LEAVING if n), "inner/", "../", "people.embedding/", "__MACOSX/._notes.txt")
} | {
    "an entry that is a symlink": info("link.txt", mode=stat.S_IFLNK | 0o777),
    "an entry that is a device": info("device.txt", mode=stat.S_IFCHR | 0o666),
    "an entry that is a pipe": info("pipe.txt", mode=stat.S_IFIFO | 0o666),
    "an entry twice": info("notes.txt"),
    "the manifest twice": info("manifest.json"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ZIP_ENTRIES)
@pytest.mark.parametrize("position", ["first", "last"])
def test_a_zip_with_a_foreign_entry_is_refused_and_nothing_is_unpacked(
    name: str, position: str, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "people.zip"
    entries = [(info(key), data) for key, data in sound_entries(tmp_path).items()]
    entries.insert(0 if position == "first" else len(entries), (ZIP_ENTRIES[name], b"/etc/passwd"))
    with zipfile.ZipFile(path, "w") as archive:
        for made, data in entries:
            archive.writestr(made, data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArtifactError, match=r"people\.zip"):
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def zip_bytes(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def directory(data: bytes) -> int:
    return data.index(b"PK\x01\x02")


ZIP_FILES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a bomb of zeros": lambda e: zip_bytes(e | {"zeros.txt": b"\0" * (archives.HARMLESS_BYTES + 1)}),
    "too many entries": lambda e: zip_bytes(e | {f"{n}.txt": b"" for n in range(archives.MAX_FILES + 1)}),
    "more entries than 16 bits count": lambda e: zip_bytes({f"{n}.txt": b"" for n in range(65_537)}),
    "packed by bzip2": lambda e: zip_bytes(e, zipfile.ZIP_BZIP2),
    "packed by lzma": lambda e: zip_bytes(e, zipfile.ZIP_LZMA),
    "an entry said to be encrypted": lambda e: patched(z := zip_bytes(e), directory(z) + 8, b"\x01\x00"),
    "an unknown packing": lambda e: patched(z := zip_bytes(e), directory(z) + 10, b"\x63\x00"),
    "a size that lies, small": lambda e: patched(z := zip_bytes(e), directory(z) + 24, b"\x01\0\0\0"),
    "a size that lies, 4 GB": lambda e: patched(z := zip_bytes(e), directory(z) + 24, b"\xfe\xff\xff\xff"),
    "an offset beyond the end": lambda e: patched(z := zip_bytes(e), directory(z) + 42, b"\xff\xff\xff\x7f"),
    "a wrong check sum": lambda e: patched(z := zip_bytes(e), directory(z) + 16, b"\x00\x00\x00\x00"),
    "cut in the middle": lambda e: zip_bytes(e)[:700],
    "cut before the end": lambda e: zip_bytes(e)[:-10],
    "only the first four bytes": lambda e: b"PK\x03\x04",
    "no entry": lambda e: zip_bytes({}),
    "no manifest": lambda e: zip_bytes({"notes.txt": b""}),
    "a manifest in a folder of a folder": lambda e: zip_bytes({f"a/b/{k}": v for k, v in e.items()}),
    "two folders": lambda e: zip_bytes({f"a/{k}": v for k, v in e.items()} | {"b/notes.txt": b""}),
    "a folder that leaves": lambda e: zip_bytes({f"../{k}": v for k, v in e.items()}),
    "an absolute folder": lambda e: zip_bytes({f"/{k}": v for k, v in e.items()}),
    "a checkpoint of torch": lambda e: zip_bytes({"archive/data.pkl": b"\x80\x02.", "archive/version": b"3"}),
    "a csv file": lambda e: b"age,income\n1,2\n",
    "an empty file": lambda e: b"",
    "a bare pickle": lambda e: pickle.dumps({"state_dict": 1}),
    "a bare safetensors file": lambda e: e["values.safetensors"],
}


@pytest.mark.parametrize("name", ZIP_FILES)
def test_an_unsound_zip_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "people.zip"
    path.write_bytes(ZIP_FILES[name](sound_entries(tmp_path)))
    with pytest.raises(ArtifactError, match=r"people\.zip"):
        load(path)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o666, stat.S_IFDIR | 0o755])
def test_a_zip_whose_files_are_all_there_is_refused_where_one_is_no_plain_file(
    mode: int, tmp_path: Path
) -> None:
    path = tmp_path / "people.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sound_entries(tmp_path).items():
            archive.writestr(info(name, mode=mode if name == "notes.txt" else 0), data)
    with pytest.raises(ArtifactError, match=r"'notes\.txt'; expected plain files"):
        load(path)


def test_a_bomb_whose_manifest_fits_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = {"zeros.txt": bytes(archives.HARMLESS_BYTES)}
    save(tmp_path / "sound", kind="audit", settings={}, files=zeros)
    entries = {entry.name: entry.read_bytes() for entry in (tmp_path / "sound").iterdir()}
    path = tmp_path / "people.zip"
    path.write_bytes(zip_bytes(entries))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("an entry was unpacked"))
    with pytest.raises(ArtifactError, match="zip bomb"):
        load(path)


def test_a_zip_of_many_entries_is_refused_before_its_list_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.zip"
    path.write_bytes(zip_bytes({f"{n}.txt": b"" for n in range(300)}))
    monkeypatch.setattr(archives.zipfile, "ZipFile", lambda *_: pytest.fail("the list of entries was read"))
    with pytest.raises(ArtifactError, match="more entries"):
        load(path)


# --- random damage ---------------------------------------------------------------------------------


def test_no_flipped_bit_in_any_file_of_a_folder_goes_unnoticed(tmp_path: Path) -> None:
    folder = tmp_path / "people.embedding"
    save(folder, kind="embedding", settings=SETTINGS, files=files())
    chance = random.Random(1)
    for name in NAMES:
        sound = (folder / name).read_bytes()
        for _ in range(60):
            damaged = bytearray(sound)
            damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
            (folder / name).write_bytes(damaged)
            with pytest.raises(ArtifactError):
                load(folder)
        (folder / name).write_bytes(sound)
    assert load(folder).files == files()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_in_a_zip_is_refused_or_changes_nothing(method: int, tmp_path: Path) -> None:
    sound = zip_bytes(sound_entries(tmp_path), method)
    path = tmp_path / "people.zip"
    chance = random.Random(2)
    refused = 0
    for _ in range(400):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            found = load(path)
        except ArtifactError:
            refused += 1
        else:  # a bit of a date or of a permission
            assert (found.kind, found.settings, found.files) == ("embedding", SETTINGS, files())
    assert refused > 200


@settings(max_examples=200)
@given(data=st.binary(max_size=400))
def test_bytes_that_are_no_tensors_give_a_typed_error(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"values\.safetensors"):
        tensors_from_bytes(b"\xff" * 8 + data, source="values.safetensors")
    with contextlib.suppress(ArtifactError):  # a lucky draw may be a sound empty file
        tensors_from_bytes(data, source="values.safetensors")


# --- round trips -----------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)
LETTERS = string.ascii_letters + string.digits + "_"
FILE_NAMES = st.builds(
    lambda first, rest, suffix: f"{first}{rest}.{suffix}",
    st.sampled_from(LETTERS),
    st.text(LETTERS + ".-", max_size=20),
    st.sampled_from([s for s in SUFFIXES if s not in ("json", "toml", "safetensors")]),
).filter(lambda name: not RESERVED.match(name))


@settings(max_examples=60)
@given(
    chosen=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), PLAIN, max_size=4),
    contents=st.lists(
        st.tuples(FILE_NAMES, st.binary(max_size=200)), max_size=4, unique_by=lambda f: f[0].casefold()
    ),
    suffix=st.sampled_from(["", ".zip"]),
)
def test_any_settings_names_and_bytes_come_back_the_same(
    chosen: dict, contents: list, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("trip") / f"a{suffix}"
    save(path, kind="audit", settings=chosen, files=dict(contents))
    found = load(path, kind="audit")
    assert found.files == dict(contents)
    assert repr(found.settings) == repr(
        json.loads(json.dumps(chosen, sort_keys=True))
    )  # repr tells -0.0 from 0.0


NUMBERS = st.sampled_from(["?", "i1", "<i8", ">i8", "<u4", "<f4", ">f8", "<f2"])


@settings(max_examples=100)
@given(
    tensors=st.dictionaries(
        st.text(LETTERS, min_size=1, max_size=5),
        NUMBERS.flatmap(
            lambda t: hnp.arrays(np.dtype(t), hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=4,
    )
)
def test_any_tensors_come_back_with_their_values_shapes_and_types(tensors: dict[str, np.ndarray]) -> None:
    data = tensors_to_bytes(tensors)
    assert data == tensors_to_bytes(dict(reversed(tensors.items())))
    found = tensors_from_bytes(data, source="x")
    assert list(found) == sorted(tensors)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


def test_a_transposed_and_a_strided_tensor_come_back_right() -> None:
    array = np.arange(24.0).reshape(4, 6)
    found = tensors_from_bytes(tensors_to_bytes({"t": array.T, "s": array[::2, ::-1]}), source="x")
    np.testing.assert_array_equal(found["t"], array.T)
    np.testing.assert_array_equal(found["s"], array[::2, ::-1])


@pytest.mark.parametrize("bad", [np.array(["x"]), np.array([object()]), np.array([1j]), [1.0], "2020-01-01"])
def test_what_is_no_array_of_numbers_is_not_saved_as_a_tensor(bad: object) -> None:
    with pytest.raises(ArtifactError, match="'w'"):
        tensors_to_bytes({"w": bad})  # type: ignore[dict-item]


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    for suffix in ("", ".zip"):
        save(tmp_path / f"a{suffix}", kind="audit", settings=SETTINGS, files=files())
        reverse = dict(reversed(files().items()))
        save(tmp_path / f"b{suffix}", kind="audit", settings=dict(reversed(SETTINGS.items())), files=reverse)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_cells_of_very_many_columns_fit_into_a_manifest(tmp_path: Path) -> None:
    """Preset keshi counts up to 400,000 cells of columns; an embedding that cannot be saved has spent its budget."""
    edges = list(range(-(2**20), 2**20, 512))
    save(tmp_path / "a", kind="embedding", settings={"edges": [edges, edges]}, files={})
    assert load(tmp_path / "a").settings["edges"] == [edges, edges]
    a_number = (tmp_path / "a" / "manifest.json").stat().st_size / (2 * len(edges))
    assert a_number < 9  # bytes: up to seven digits, sign and comma
    # Three resolutions in the first look, two in the second, and the joined cell of each.
    assert 400_000 * 5 * 2 * a_number < archives.MAX_MANIFEST_BYTES


def test_a_manifest_of_many_lines_loads_as_long_as_no_bit_is_changed(tmp_path: Path) -> None:
    save(tmp_path / "a", kind="audit", settings=SETTINGS, files=files())
    edit_manifest(tmp_path / "a", lambda body: None, indent=2)
    assert load(tmp_path / "a").settings == SETTINGS
    path = tmp_path / "a" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"epsilon": 1.0', b'"epsilon": 9.0'))
    with pytest.raises(ArtifactError, match="altered"):
        load(tmp_path / "a")


def test_a_zip_that_others_made_of_the_folder_loads(tmp_path: Path) -> None:
    entries = sound_entries(tmp_path)
    (tmp_path / "flat.zip").write_bytes(zip_bytes(entries))
    (tmp_path / "nested.zip").write_bytes(zip_bytes({"p/": b""} | {f"p/{k}": v for k, v in entries.items()}))
    assert load(tmp_path / "flat.zip").files == load(tmp_path / "nested.zip").files == files()


# --- what cannot be saved, and where ---------------------------------------------------------------


@pytest.mark.parametrize(
    "chosen",
    [{1: 2}, {"a": {2.5: 1}}, {"a": float("nan")}, {"a": [float("inf")]}, {"a": object()}, {"a": {1, 2}},
     {"a": b"x"}, {"a": np.int64(1)}, {"a": "\ud800"}],
)  # fmt: skip
def test_settings_that_would_not_come_back_are_refused_and_nothing_is_written(
    chosen: dict, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="settings"):
        save(tmp_path / "a", kind="audit", settings=chosen, files={})
    assert list(tmp_path.iterdir()) == []


def test_settings_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    endless: dict = {}
    endless["again"] = endless
    with pytest.raises(ArtifactError, match="nested"):
        save(tmp_path / "a", kind="audit", settings=endless, files={})


@pytest.mark.parametrize("name", [*LEAVING[:-1], "model.pkl", "model.pt"])
def test_a_file_name_that_would_not_load_is_not_saved(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="name"):
        save(tmp_path / "a", kind="audit", settings={}, files={name: b""})
    assert list(tmp_path.iterdir()) == []


def test_two_files_that_are_one_on_a_mac_are_not_saved(tmp_path: Path) -> None:
    for names in (("notes.txt", "Notes.txt"), ("Manifest.json",)):
        with pytest.raises(ArtifactError, match="capitals"):
            save(tmp_path / "a", kind="audit", settings={}, files=dict.fromkeys(names, b"{}"))


def test_an_unknown_kind_is_not_saved_and_a_wrong_one_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="kind must be one of"):
        save(tmp_path / "a", kind="model", settings={}, files={})
    save(tmp_path / "a", kind="audit", settings={}, files={})
    with pytest.raises(ArtifactError, match="'audit'; expected 'generator'"):
        load(tmp_path / "a", kind="generator")


def test_a_missing_path_and_a_table_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "people.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ArtifactError, match="no zip"):
        load(tmp_path / "people.csv")
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        load(tmp_path)
    with pytest.raises(ArtifactError, match="neither"):
        load("/dev/null")


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_an_existing_artefact_is_replaced_only_on_request_and_nothing_else_ever(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, kind="audit", settings={"v": 1}, files={"old.txt": b""})
    with pytest.raises(ArtifactError, match="exists"):
        save(path, kind="audit", settings={"v": 2}, files={})
    assert load(path).settings == {"v": 1}
    save(path, kind="audit", settings={"v": 2}, files={}, overwrite=True)
    assert load(path).settings == {"v": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    foreign = tmp_path / f"thesis{suffix}"
    if suffix:
        foreign.write_bytes(b"chapter 1")
    else:
        foreign.mkdir()
        (foreign / "chapter.tex").write_text("1")
    with pytest.raises(ArtifactError, match="not written by keshi"):
        save(foreign, kind="audit", settings={}, files={}, overwrite=True)
    link = tmp_path / f"link{suffix}"
    link.symlink_to(path)
    if not suffix:
        with pytest.raises(ArtifactError, match="not written by keshi"):
            save(link, kind="audit", settings={}, files={}, overwrite=True)
    assert load(path).settings == {"v": 2}


def test_a_run_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "run") as folder:
        (folder / "release").mkdir()
        (folder / "release" / "synthetic.csv").write_text("a\n1\n")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "release" / "synthetic.csv").read_text() == "a\n1\n"
    with pytest.raises(ArtifactError, match="exists"), new_folder(tmp_path / "run"):
        pytest.fail("the work began although its result could not be kept")

    def fails_half_way() -> None:
        with new_folder(tmp_path / "run", overwrite=True) as folder:
            (folder / "half.csv").write_text("a\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_half_way()
    assert (tmp_path / "run" / "release" / "synthetic.csv").exists()
    with new_folder(tmp_path / "run", overwrite=True) as folder:
        (folder / "new.csv").write_text("b\n")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["keshi-run.json", "new.csv", "run"]
    with pytest.raises(ArtifactError, match="does not exist"), new_folder(tmp_path / "none" / "run"):
        pass


def test_one_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "synthetic.csv"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["synthetic.csv"]
    with pytest.raises(ArtifactError, match="is a folder"):
        write_atomically(tmp_path, b"")


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_full_disk_leaves_nothing_half_written(suffix: str, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            save(tmp_path / f"a{suffix}", kind="audit", settings={}, files={"big.txt": bytes(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_read_and_not_written(tmp_path: Path) -> None:
    save(tmp_path / "a", kind="audit", settings={}, files={"notes.txt": b"1"})
    for path in (tmp_path / "a", tmp_path):
        path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("the superuser writes everywhere")
        assert load(tmp_path / "a").files == {"notes.txt": b"1"}
        with pytest.raises(PermissionError):
            save(tmp_path / "b", kind="audit", settings={}, files={})
    finally:
        for path in (tmp_path, tmp_path / "a"):
            path.chmod(0o755)


def test_a_process_killed_while_saving_leaves_the_old_artefact_or_the_new_one(tmp_path: Path) -> None:
    """Killed at a random moment of saving over and over: what stands under the name always loads."""
    code = (
        "import sys; from keshi.artifacts.store import save\n"
        "for v in range(10**6):\n"
        "    files = {'f.txt': bytes(v % 7)}\n"
        "    save(sys.argv[1], kind='audit', settings={'v': v}, files=files, overwrite=True)\n"
        "    print(v, flush=True)"
    )
    for attempt in range(4):
        path = tmp_path / f"a{attempt}.zip"
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(5 + attempt):
            process.stdout.readline()
        process.kill()
        process.wait()
        found = load(path)
        assert found.files["f.txt"] == bytes(found.settings["v"] % 7)
