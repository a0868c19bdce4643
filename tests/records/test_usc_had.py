from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from keshi.errors import DomainError, RecordsError
from keshi.records import usc_had
from keshi.records.recordings import read_recordings


def readings(seed: int, length: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 6))


def write_trial(root: Path, subject: int, activity: int, trial: int, /, **fields: object) -> Path:
    folder = root / f"Subject{subject}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a{activity}t{trial}.mat"
    content = {"sensor_readings": readings(100 * subject + 10 * activity + trial), **fields}
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def test_names_of_files_win_over_the_fields_inside(tmp_path: Path) -> None:
    write_trial(tmp_path, 14, 3, 2, activity_number="2", trial="5", subject="3")
    write_trial(tmp_path, 13, 11, 4, activity_numbr="11", comments="misspelt and extra fields")
    write_trial(tmp_path, 2, 10, 1)
    write_trial(tmp_path, 2, 9, 1)
    found = read_recordings(tmp_path)
    assert [(r.subject, r.label, r.trial) for r in found] == [(2, 9, 1), (2, 10, 1), (13, 11, 4), (14, 3, 2)]
    assert found[0].rate == 100.0
    np.testing.assert_allclose(found[3].x, readings(1432), rtol=1e-6)


def test_a_zip_is_read_like_the_folder_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "USC-HAD"
    write_trial(root, 1, 1, 1)
    write_trial(root, 2, 1, 1)
    (root / "Readme.txt").write_text("hello")
    archive = tmp_path / "had.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for file in root.rglob("*.*"):
            z.write(file, file.relative_to(tmp_path))
        z.writestr("__MACOSX/USC-HAD/Subject1/a1t1.mat", b"resource fork")
        z.writestr("USC-HAD/Subject1/._a1t1.mat", b"resource fork")
    from_zip, from_folder = read_recordings(archive), read_recordings(root)
    assert len(from_zip) == len(from_folder) == 2
    for a, b in zip(from_zip, from_folder, strict=True):
        np.testing.assert_array_equal(a.x, b.x)


def test_the_folder_of_one_subject_can_be_read_alone(tmp_path: Path) -> None:
    write_trial(tmp_path, 5, 1, 1)
    assert read_recordings(tmp_path / "Subject5")[0].subject == 5


def test_what_the_person_is_like_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    write_trial(tmp_path, 1, 1, 1, height="164cm", weight="43kg", age="27")
    found = read_recordings(tmp_path, further=["height", "age"])
    assert found[0].further == {"height": 164.0, "age": 27.0}
    assert read_recordings(tmp_path)[0].further == {}
    with pytest.raises(DomainError, match="knows age, height, weight of its people, and no shoe"):
        read_recordings(tmp_path, further=["shoe"])
    write_trial(tmp_path, 1, 1, 2, height="tall")
    with pytest.raises(RecordsError, match=r"a1t2\.mat has no number in its field 'height', but 'tall'"):
        read_recordings(tmp_path, further=["height"])


@pytest.mark.parametrize("keep", [0, 1, 60, 200, 700])
def test_a_truncated_mat_file_is_named(tmp_path: Path, keep: int) -> None:
    path = write_trial(tmp_path, 1, 2, 3)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecordsError, match=r"Subject1/a2t3\.mat is (empty|not a complete MATLAB file)"):
        read_recordings(tmp_path)


def test_missing_or_odd_sensor_readings_are_named(tmp_path: Path) -> None:
    write_trial(tmp_path / "a", 1, 2, 3, sensor_readings=None, title="USC-HAD")
    with pytest.raises(RecordsError, match=r"Subject1/a2t3\.mat has no field 'sensor_readings'"):
        read_recordings(tmp_path / "a")
    write_trial(tmp_path / "b", 1, 2, 3, sensor_readings=np.zeros((40, 5)))
    with pytest.raises(RecordsError, match=r"must be samples x 6 numbers, got float64 \(40, 5\)"):
        read_recordings(tmp_path / "b")


def test_missing_values_are_refused_with_the_trial_and_the_count(tmp_path: Path) -> None:
    x = readings(1)
    x[3, 2] = x[4, 2] = np.nan
    write_trial(tmp_path, 1, 2, 3, sensor_readings=x)
    with pytest.raises(RecordsError, match=r"subject 1, label 2, trial 3 \(2 values\)"):
        read_recordings(tmp_path)


def test_a_trial_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    write_trial(tmp_path / "one", 1, 2, 3)
    write_trial(tmp_path / "copy", 1, 2, 3)
    with pytest.raises(RecordsError, match=r"subject 1, activity 2, trial 3 occurs twice.*copy.*one"):
        read_recordings(tmp_path)


def test_a_folder_or_zip_without_trials_and_a_broken_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"no file named Subject<n>/a<activity>t<trial>\.mat"):
        read_recordings(tmp_path)
    empty = tmp_path / "x.zip"
    with zipfile.ZipFile(empty, "w") as z:
        z.writestr("hello.txt", "hello")
    with pytest.raises(RecordsError, match=r"x\.zip: no file named"):
        read_recordings(empty)
    empty.write_bytes(empty.read_bytes()[:-30])
    with pytest.raises(RecordsError, match=r"x\.zip is not a complete zip"):
        read_recordings(empty)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usc_had, "LARGEST_MAT_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("Subject1/a1t1.mat", bytes(1001))
    with pytest.raises(RecordsError, match=r"Subject1/a1t1\.mat unpacks to 1,001 bytes"):
        read_recordings(tmp_path / "bomb.zip")


def compact() -> dict[str, np.ndarray]:
    """Two trials, of three and two samples."""
    levels = np.array([-1.0, 0.5, 2.0], dtype=np.float32)
    arrays: dict[str, np.ndarray] = {
        "length": np.array([3, 2]), "subject": np.array([4, 5]),
        "activity": np.array([1, 2]), "trial": np.array([1, 3]),
    }  # fmt: skip
    for name in usc_had.USC_HAD_CHANNELS:
        if name.startswith("acc"):
            arrays[name], arrays[name + "_levels"] = np.array([2, -1, -1, 1, 1], dtype=np.int16), levels
        else:
            arrays[name] = np.array([100, -50, 25, 7, 0], dtype=np.int32)
    return arrays


def test_the_compact_layout_is_integrated_trial_by_trial(tmp_path: Path) -> None:
    np.savez(tmp_path / "had.npz", **compact())
    first, second = read_recordings(tmp_path / "had.npz")
    np.testing.assert_allclose(first.x[:, 0], [2.0, 0.5, -1.0])
    np.testing.assert_allclose(second.x[:, 0], [0.5, 2.0])
    np.testing.assert_allclose(first.x[:, 5], [1.0, 0.5, 0.75])
    np.testing.assert_allclose(second.x[:, 5], [0.07, 0.07])
    assert (second.subject, second.label, second.trial) == (5, 2, 3)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        # -1 would be the last level, and 3 an IndexError that names no file
        (
            "acc_y",
            np.array([2, -1, -2, 1, 1]),
            r"acc_y adds up to the level codes -1 to 2, which must be places in",
        ),
        ("acc_y", np.array([2, -1, -1, 1, 2]), r"codes 0 to 3, .* in acc_y_levels, of shape \(3,\)"),
        ("acc_z_levels", None, r"acc_z .* in acc_z_levels, of shape \(0,\)"),  # no hundredths of a g
        (
            "acc_x",
            np.array([2, -1, -1.5, 1, 1]),
            r"acc_x must hold a whole number for each sample, .* 5; got float",
        ),
        (
            "gyro_x",
            np.zeros(4, dtype=int),
            r"gyro_x must .* sample, of which there are 5; got int64 of shape \(4,",
        ),
        (
            "subject",
            np.array([1]),
            "subject must hold a whole number for each trial, of which there are 2; got",
        ),
    ],
)
def test_a_compact_copy_that_is_damaged_is_refused_by_name(
    name: str, array: np.ndarray | None, says: str, tmp_path: Path
) -> None:
    arrays = compact() | ({} if array is None else {name: array})
    np.savez(tmp_path / "had.npz", **{key: arrays[key] for key in arrays if array is not None or key != name})
    with pytest.raises(RecordsError, match=says):
        read_recordings(tmp_path / "had.npz")


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="needs the real USC-HAD in KESHI_DATA")
def test_the_official_files_agree_with_the_compact_copy() -> None:
    folder = Path(os.environ["KESHI_DATA"]) / "usc-had"
    official = read_recordings(folder / "USC-HAD-original-subset.zip")
    compact = {(r.subject, r.label, r.trial): r.x for r in read_recordings(folder / "uschad_all.npz")}
    assert (len(official), len(compact)) == (240, 840)
    for recording in official:
        gap = np.abs(recording.x - compact[recording.subject, recording.label, recording.trial])  # type: ignore[index]
        assert gap[:, :3].max() == 0
        assert gap[:, 3:].max() < 0.006  # degrees per second: the copy is rounded to hundredths
