import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from keshi.datasets import verified, watch
from keshi.datasets.watch import load_watch, read_object_array
from keshi.errors import RecordsError

seglearn = pytest.mark.skipif(
    not verified.is_installed("seglearn"), reason="seglearn ([demo]) is not installed"
)


@seglearn
def test_the_recordings_are_the_known_ones_and_seglearn_is_not_imported():
    import sys

    data = load_watch()
    assert "seglearn" not in sys.modules
    assert len(data.series) == len(data.subject) == len(data.side) == len(data.exercise) == 140
    assert all(one.shape[1] == 6 and one.dtype == np.float64 for one in data.series)
    assert sum(len(one) for one in data.series) == 244_102
    assert sorted(set(data.subject)) == list(range(1, 11))
    assert data.exercises == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    # each person did each exercise once with each arm
    assert len(set(zip(data.subject, data.side, data.exercise, strict=True))) == 140


@seglearn
@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="KESHI_DATA names no folder with the real data")
def test_the_recordings_equal_an_independent_copy():
    data, copy = load_watch(), np.load(Path(os.environ["KESHI_DATA"], "watch", "watch.npz"))
    ends = np.cumsum(copy["length"])
    there = np.stack([copy[n] for n in copy["X_labels"]], axis=1) / 1e6
    order = {
        (s, d, y): there[end - n : end]
        for s, d, y, n, end in zip(
            copy["subject"], copy["side"], copy["y"], copy["length"], ends, strict=True
        )
    }
    for one, *key in zip(data.series, data.subject, data.side, data.exercise, strict=True):
        np.testing.assert_allclose(one, order[tuple(key)], atol=1e-6)


class Payload:
    def __reduce__(self):
        return (os.system, ("touch pwned",))


def as_npy(content):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    return stream.getvalue() + content


@seglearn
def test_a_tampered_file_is_refused_before_a_byte_of_it_is_interpreted(tmp_path, monkeypatch):
    original = verified.file_of_package("seglearn", "data", "watch_dataset.npy").read_bytes()
    changed = bytearray(original)
    changed[len(changed) // 2] ^= 1
    monkeypatch.setattr(watch, "read_object_array", lambda content: pytest.fail("the file was opened"))
    for content in (bytes(changed), original[:-1], as_npy(pickle.dumps(Payload())), b""):
        path = tmp_path / "watch_dataset.npy"
        path.write_bytes(content)
        with pytest.raises(RecordsError, match="refused unopened"):
            load_watch(path)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_even_past_the_checksum_a_pickle_that_asks_for_a_function_is_refused(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordsError, match=r"asks for (posix|nt)\.system"):
        read_object_array(as_npy(pickle.dumps(Payload(), protocol=protocol)))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "name", [b"builtins eval", b"numpy load", b"numpy.core.multiarray array", b"_codecs lookup"]
)
def test_only_array_constructors_are_known(name):
    module, function = name.split()
    with pytest.raises(RecordsError, match="only numpy arrays"):
        read_object_array(as_npy(b"\x80\x02c" + module + b"\n" + function + b"\n."))


def test_an_array_in_the_old_module_path_is_read_by_a_new_numpy():
    found = np.empty((), dtype=object)
    found[()] = {"X": [np.arange(6.0)], "name": "ax"}
    content = pickle.dumps(found, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    again = read_object_array(as_npy(content))
    assert again["X"][0].tolist() == list(range(6))
    assert again["name"] == "ax"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", as_npy(b""), as_npy(pickle.dumps([1]))])
def test_broken_files_give_a_typed_error(content):
    with pytest.raises(RecordsError):
        read_object_array(content)
