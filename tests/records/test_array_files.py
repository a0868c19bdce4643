import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from keshi.errors import RecordsError
from keshi.records.array_files import mapping_table
from keshi.records.column_kinds import Categorical, Image, Window
from keshi.records.domain import Domain
from keshi.records.domain_file import draft
from keshi.records.files import (
    column_arrays,
    column_types,
    read_batches,
    table_batches,
)
from keshi.records.table_output import check_table_output, write_table
from keshi.records.tables import TableEncoder

X = np.arange(7 * 3 * 4, dtype=np.uint8).reshape(7, 3, 4)
Y = np.array([0, 1, 2, 0, 1, 2, 0])
DOMAIN = Domain({"image": Image(3, 4), "label": Categorical((0, 1, 2))}, label="label")


def whole(path, domain=DOMAIN, rows=3):
    return pd.concat(list(read_batches(path, domain, rows=rows)()), ignore_index=True)


def idx(array, code=8):
    header = bytes([0, 0, code, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return header + array.astype({8: "u1", 12: ">i4", 14: ">f8"}[code]).tobytes()


def write_idx(folder, images=X, labels=Y, part="train"):
    path = folder / f"{part}-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(images)))
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return path


def write_pictures(folder, images=X, labels=Y):
    from PIL import Image as pillow

    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        pillow.fromarray(image).save(folder / str(label) / f"{row}.png")
    return folder


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_read_in_batches_as_it_was_saved(tmp_path, save) -> None:
    save(tmp_path / "a.npz", image=X, label=Y)
    assert [len(batch) for batch in read_batches(tmp_path / "a.npz", DOMAIN, rows=3)()] == [3, 3, 1]
    table = whole(tmp_path / "a.npz")
    assert np.array_equal(np.stack(table["image"]), X)
    assert table["label"].tolist() == Y.tolist()


def test_numbers_of_other_byte_orders_texts_and_missing_texts_are_read(tmp_path) -> None:
    domain = Domain(
        {"w": Window(3, 2, -9, 9), "c": Categorical(("a", "b"), missing=True)}, missing_values=("?",)
    )
    w = np.random.default_rng(0).uniform(-9, 9, (4, 3, 2)).astype(">f4")
    np.savez(tmp_path / "a.npz", w=w, c=np.array(["a", "", "?", "b"]))
    batch = TableEncoder(domain).encode(whole(tmp_path / "a.npz", domain))
    np.testing.assert_allclose(batch.vectors[:, :6], w.reshape(4, 6) / 9, atol=1e-6)
    assert batch.vectors[:, 6:].argmax(axis=1).tolist() == [0, 2, 2, 1]


def test_an_npz_file_without_records_gives_an_empty_table(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", image=X[:0], label=Y[:0])
    table = whole(tmp_path / "a.npz")
    assert TableEncoder(DOMAIN).encode(table).vectors.shape == (0, 12)


def test_arrays_that_are_ignored_need_be_no_columns_and_one_may_name_the_subject(tmp_path) -> None:
    domain = Domain(DOMAIN.columns, label="label", ignore=("meta", "who", "names"))
    np.savez(tmp_path / "a.npz", image=X, label=Y, meta="{}", who=np.arange(7), names=np.array(["x", "y"]))
    assert list(whole(tmp_path / "a.npz", domain).columns) == ["image", "label", "who"]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"image": X, "label": Y[:-1]}, "'image' has 7, 'label' has 6"),
        ({"image": X, "label": np.array([{}] * 7, dtype=object)}, "array 'label' holds Python objects"),
        ({"image": X[:, :2], "label": Y}, r"records of array 'image' are of shape \(2, 4\)"),
        ({"image": np.asfortranarray(X), "label": Y}, "Fortran order"),
        ({"image": X, "label": Y, "meta": "{}"}, "array 'meta' is a single value"),
        ({"image": X, "label": np.array([b"a"] * 7)}, r"array 'label' is of dtype \|S1"),
        ({}, "no array in it"),
    ],
)
def test_an_npz_file_that_is_no_table_is_refused_by_name_of_the_array(tmp_path, arrays, said) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(RecordsError, match=rf"a\.npz.*{said}"):
        whole(tmp_path / "a.npz")


def test_a_planted_pickle_in_an_npz_file_is_never_run(tmp_path) -> None:
    buffer = io.BytesIO()

    class Planted:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    values = np.empty(7, dtype=object)
    values[:] = [Planted() for _ in range(7)]
    np.save(buffer, values, allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", buffer.getvalue())
    with pytest.raises(RecordsError, match="could run code"):
        whole(tmp_path / "a.npz")


def broken_npz(tmp_path, change):
    np.savez_compressed(
        tmp_path / "good.npz", image=np.random.default_rng(0).integers(0, 255, X.shape, np.uint8), label=Y
    )
    data = bytearray((tmp_path / "good.npz").read_bytes())
    (tmp_path / "a.npz").write_bytes(change(data))
    return tmp_path / "a.npz"


def flipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo("image.npy")
    place = entry.header_offset + 30 + len("image.npy") + entry.compress_size - 12
    data[place] ^= 0x55
    return data


@pytest.mark.parametrize(
    "change",
    [lambda data: data[: len(data) // 2], lambda data: b"PK" + bytes(80), lambda data: b"x", flipped],
)
def test_a_damaged_npz_file_is_refused_before_the_last_record_counts(tmp_path, change) -> None:
    with pytest.raises(RecordsError, match=r"a\.npz: .*(damaged|ends|goes on|no array)"):
        whole(broken_npz(tmp_path, change))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"descr": "|u1", "fortran_order": False, "shape": (7, 3, 10**12)}, "would take more than"),
        ({"descr": "|u1", "fortran_order": False, "shape": (-7, 3, 4)}, "negative length"),
        ({"descr": "|u1", "fortran_order": False, "shape": (900, 3, 4)}, "damaged"),
        ({"descr": "|u1", "fortran_order": False, "shape": (6, 3, 4)}, "goes on after the 6 records"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, said) -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, header)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", member.getvalue() + X.tobytes())
    with pytest.raises(RecordsError, match=said):
        whole(tmp_path / "a.npz", Domain({"image": Image(3, 4)}))


def test_idx_files_are_found_in_pairs_by_their_official_names(tmp_path) -> None:
    path = write_idx(tmp_path)
    for given in (path, tmp_path):
        table = whole(given)
        assert np.array_equal(np.stack(table["image"]), X)
        assert table["label"].tolist() == Y.tolist()
    assert column_types(path) == {"image": "array", "label": "code"}
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert list(whole(path).columns) == ["image"]
    write_idx(tmp_path, part="t10k")
    with pytest.raises(RecordsError, match="has 2 files of images"):
        whole(tmp_path)


def test_idx_values_are_read_in_big_endian_order(tmp_path) -> None:
    values = np.array([[[1.5, -2.0]], [[3.0, 4.25]]])
    (tmp_path / "x.idx").write_bytes(idx(values, 14))
    table = whole(tmp_path / "x.idx", Domain({"image": Image(1, 2, lower=-9, upper=9, integer=False)}))
    assert np.array_equal(np.stack(table["image"]), values)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (idx(X)[:-1], idx(Y), r"images-idx3-ubyte: the file ends before the 7 records"),
        (idx(X) + b"\0", idx(Y), r"images-idx3-ubyte: the file goes on after"),
        (idx(X), idx(Y[:5]), r"labels-idx1-ubyte: expected one label for each of the 7 images"),
        (idx(X)[:7], idx(Y), r"images-idx3-ubyte: the file ends within its header"),
        (b"\x89PNG" + bytes(30), idx(Y), r"images-idx3-ubyte: this is not an idx file"),
        (gzip.compress(idx(X))[:-9], idx(Y), r"images-idx3-ubyte: the file is damaged or incomplete"),
        (b"\0\0\x08\x03" + b"\xff" * 12, idx(Y), "no image has"),
    ],
)
def test_damaged_idx_files_are_refused_by_name(tmp_path, images, labels, said) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(RecordsError, match=said):
        whole(tmp_path / "train-images-idx3-ubyte")


def test_a_folder_of_pictures_gives_the_class_as_the_name_of_the_folder(tmp_path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "0" / ".DS_Store").write_bytes(b"left by a system")
    table = whole(tmp_path)
    order = np.argsort(Y, kind="stable")
    assert np.array_equal(np.stack(table["image"]), X[order])
    assert table["label"].tolist() == [str(label) for label in Y[order]]
    assert TableEncoder(DOMAIN).encode(table).classes.tolist() == Y[order].tolist()


def test_pictures_in_colour_have_three_channels(tmp_path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (2, 4, 5, 3), dtype=np.uint8)
    write_pictures(tmp_path, colours, [0, 1])
    assert column_arrays(tmp_path) == {"image": ((4, 5, 3), "uint8")}
    domain = Domain({"image": Image(4, 5, 3), "label": Categorical((0, 1))}, label="label")
    assert np.array_equal(np.stack(whole(tmp_path, domain)["image"]), colours)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda f: write_pictures(f, [np.zeros((9, 4), np.uint8)], ["z"]),
            r"0\.png: the picture is of shape \(9, 4\)",
        ),
        (
            lambda f: write_pictures(f, [np.zeros((3, 4, 3), np.uint8)], ["z"]),
            r"0\.png: .* shape \(3, 4, 3\)",
        ),
        (
            lambda f: write_pictures(f, [np.zeros((3, 4), bool)], ["z"]),
            r"0\.png: a picture of mode 1 is not read",
        ),
        (lambda f: (f / "2" / "x.png").write_bytes(b"no picture"), r"x\.png: this is not the picture"),
        (
            lambda f: (f / "2" / "x.png").write_bytes((f / "2" / "2.png").read_bytes()[:50]),
            r"x\.png: .*damaged",
        ),
        (lambda f: (f / "2" / "x.txt").write_text("a note"), r"x\.txt: expected pictures"),
        (lambda f: (f / "x.txt").write_text("a note"), r"x\.txt: expected only folders"),
    ],
)
def test_a_picture_that_is_unlike_the_others_is_named(tmp_path, spoil, said) -> None:
    spoil(write_pictures(tmp_path))
    with pytest.raises(RecordsError, match=said):
        whole(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path) -> None:
    with pytest.raises(RecordsError, match="this is a folder"):
        whole(tmp_path)


def test_a_draft_gives_shapes_and_leaves_what_only_the_owner_knows(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", image=X, label=Y, w=np.zeros((7, 5, 2)), deep=np.zeros((7, 4, 4, 3)))
    text = draft(column_types(tmp_path / "a.npz"), source="a.npz", arrays=column_arrays(tmp_path / "a.npz"))
    assert "height = 3\nwidth = 4\nchannels = 1\nlower = 0\nupper = 255" in text
    assert "length = 5" in text
    assert text.count("# lower = ?") == 2
    filled = text.replace("# lower = ?", "lower = -1 #").replace("# upper = ?", "upper = 1 #")
    filled = filled.replace("# categories = [0, 1, 2]", "categories = [0, 1, 2]").replace(
        '# label = "..."', 'label = "label"'
    )
    domain = Domain.loads(filled)
    assert domain.columns["w"] == Window(5, 2, -1, 1)
    assert domain.columns["image"] == Image(3, 4)


def test_arrays_in_memory_are_a_table_by_the_names_of_their_columns() -> None:
    batches = list(table_batches({"image": X, "label": Y}, rows=4)())
    assert [len(batch) for batch in batches] == [4, 3]
    assert TableEncoder(DOMAIN).encode(batches[1]).classes.tolist() == [1, 2, 0]
    with pytest.raises(RecordsError, match="'image' has 7, 'label' has 2"):
        mapping_table({"image": X, "label": Y[:2]})


def test_what_is_written_is_read_back_in_the_same_dtypes_and_twice_in_the_same_bytes(tmp_path) -> None:
    table = pd.DataFrame(
        {
            "image": list(X),
            "label": Y,
            "text": ["a", "bc", None, "", "ü", "x" * 9, "a"],
            "gap": pd.array([1, None, 3, 4, 5, 6, 7], dtype="Int64"),
            "when": pd.to_datetime(["2020-01-31"] * 7),
            "zoned": pd.to_datetime(["2020-01-31"] * 7, utc=True),
        }
    )
    for name in ("a.npz", "b.npz"):
        write_table([table.iloc[:3], table.iloc[3:]], tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.npz", "b.npz"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found["image"].dtype == np.uint8
        assert np.array_equal(found["image"], X)
        assert found["text"].tolist() == ["a", "bc", "", "", "ü", "x" * 9, "a"]
        assert np.array_equal(found["gap"], [1, np.nan, 3, 4, 5, 6, 7], equal_nan=True)
        assert found["when"].dtype.kind == "M"
        assert found["zoned"][0].startswith("2020-01-31")


def test_images_are_refused_where_no_file_format_can_hold_them(tmp_path) -> None:
    table = pd.DataFrame({"image": list(X)})
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(RecordsError, match=r"written as \.npz"):
            write_table([table], tmp_path / name)
    with pytest.raises(RecordsError, match=r"written as \.npz"):
        check_table_output(tmp_path / "a.csv", DOMAIN)
    assert not list(tmp_path.iterdir())
