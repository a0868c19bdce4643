from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from keshi.errors import DomainError, RecordsError
from keshi.records.recordings import read_recordings


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_contiguous_runs_of_a_csv_are_recordings(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.csv",
        "person,activity,ax,ay\nann,run,1,2\nann,run,3,4\nann,sit,5,6\nbob,sit,7,8\nann,run,9,10\n",
    )
    found = read_recordings(path, label="activity", subject="person", rate=50.0)
    assert [(r.subject, r.label, len(r.x)) for r in found] == [
        ("ann", "run", 2), ("ann", "sit", 1), ("bob", "sit", 1), ("ann", "run", 1),
    ]  # fmt: skip
    assert found[0].x.tolist() == [[1, 2], [3, 4]]
    assert found[0].rate == 50.0
    assert len({r.trial for r in found}) == 4


def test_labels_and_people_of_a_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "subject,label,trial,ax\n01,1.50,true,3\n1,2,007,4\n10,2,x,5\n")
    found = read_recordings(path)
    assert [(r.subject, r.label, r.trial) for r in found] == [
        ("01", "1.50", "true"), ("1", "2", "007"), ("10", "2", "x"),
    ]  # fmt: skip


def test_whole_numbers_of_a_csv_are_numbers_so_that_2_comes_before_10(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "subject,label,ax\n10, 1,3\n-2, 0,4\n")
    assert [(r.subject, r.label) for r in read_recordings(path)] == [(10, 1), (-2, 0)]
    beyond = write(tmp_path / "b.csv", "subject,label,ax\n18446744073709551615,1,3\n1,0,4\n")
    assert [r.subject for r in read_recordings(beyond)] == ["18446744073709551615", "1"]


def test_a_trial_column_separates_runs_that_touch(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "subject,label,trial,ax\n1,0,1,1\n1,0,1,2\n1,0,2,3\n")
    assert [(r.trial, r.x[:, 0].tolist()) for r in read_recordings(path)] == [(1, [1, 2]), (2, [3])]


def test_a_trial_column_that_was_named_must_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "subject,label,ax\n1,0,1\n")
    with pytest.raises(DomainError, match=r"no column 'session'; it has subject, label, ax"):
        read_recordings(path, trial="session")
    np.savez(tmp_path / "r.npz", **GOOD)
    with pytest.raises(DomainError, match="no array 'session'"):
        read_recordings(tmp_path / "r.npz", trial="session")


def test_further_columns_of_a_csv_are_no_channels_and_a_new_class_begins_a_recording(tmp_path: Path) -> None:
    text = "subject,label,worn,pulse,ax\n1,0,left,70.5,1\n1,0,left,71.5,2\n1,0,right,72.0,3\n"
    path = write(tmp_path / "r.csv", text)
    first, second = read_recordings(path, further=["worn", "pulse"])
    assert [first.x.tolist(), second.x.tolist()] == [[[1], [2]], [[3]]]
    assert [first.further["worn"], second.further["worn"]] == ["left", "right"]
    assert first.further["pulse"].tolist() == [70.5, 71.5]
    with pytest.raises(DomainError, match=r"no column 'side'.*--use"):
        read_recordings(path, further=["side"])
    with pytest.raises(DomainError, match="label and subject are no further column"):
        read_recordings(path, further=["subject"])
    gap = write(tmp_path / "gap.csv", text.replace("71.5", ""))
    with pytest.raises(RecordsError, match="column 'pulse' has missing values, the first in line 3"):
        read_recordings(gap, further=["worn", "pulse"])


def test_further_arrays_of_an_npz_have_a_value_a_recording_or_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, **GOOD, worn=["left", "right"], pulse=np.arange(5), gap=[1.0, np.nan], odd=np.zeros(3))
    first, second = read_recordings(path, further=["worn", "pulse"])
    assert (first.further["worn"], second.further["pulse"].tolist()) == ("left", [2, 3, 4])
    with pytest.raises(
        RecordsError, match=r"'odd' must have one value per recording \(2\) or one number per"
    ):
        read_recordings(path, further=["odd"])
    with pytest.raises(RecordsError, match="'gap' has missing or infinite values, first in subject 2"):
        read_recordings(path, further=["gap"])


def test_channels_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "time,subject,label,ax,ay\n2020-01-01,1,0,1,5\n2020-01-02,1,0,2,6\n")
    with pytest.raises(RecordsError, match="channels must be numbers, but 'time' hold other values"):
        read_recordings(path)
    assert read_recordings(path, channels=["ay"])[0].x.tolist() == [[5], [6]]
    assert read_recordings(path, channels=["ay"], rate=50.0)[0].rate == 50
    with pytest.raises(DomainError, match=r"must name at least one column.*got none"):
        read_recordings(path, channels=[])
    with pytest.raises(DomainError, match=r"chooses columns of a csv file, but .* is none; leave it out"):
        read_recordings(tmp_path, channels=["ay"])


def test_a_clock_is_no_channel_unless_it_is_named(tmp_path: Path) -> None:
    rows = [f"{person},{i // 60},{i * 0.02:.2f},{i % 7}" for person in (1, 2) for i in range(120)]
    path = write(tmp_path / "r.csv", "\n".join(["subject,label,t,ax", *rows]))
    with pytest.raises(RecordsError, match=r"r.csv: 't' only ever rises within a recording.*--channels"):
        read_recordings(path)
    assert read_recordings(path, channels=["ax"])[0].x.shape == (60, 1)
    assert read_recordings(path, channels=["t", "ax"])[0].x.shape == (60, 2)


def test_one_column_cannot_be_both_label_and_subject(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "who,ax\n1,3\n2,4\n")
    with pytest.raises(DomainError, match="label and subject are both 'who'"):
        read_recordings(path, label="who", subject="who")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("subject,label,ax\n", "header but no rows"),
        ("subject,ax\n1,2\n", r"no column 'label'; it has subject, ax.*--label"),
        ("subject,label\n1,2\n", "has no channel"),
        ("subject,label,ax\n1,0,3\n,0,4\n", "column 'subject' has missing values, the first in line 3"),
        ("subject,label,ax\n1,walk,3\n1,null,4\n", "line 3. .* a class called null.* needs another name"),
        ("subject,label,ax\n1,0,3\n1,0,\n", r"subject 1, label 0, trial 0 \(1 values\)"),
        ("subject,label,ax\n1,0,3\n1,0,inf\n", "missing or infinite"),
        ('subject,label,ax\n1,0,"3\n', "not a readable csv"),
    ],
)
def test_csv_errors_name_the_file_and_the_rule(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "r.csv", text)
    with pytest.raises((RecordsError, DomainError), match=message) as caught:
        read_recordings(path)
    assert "r.csv" in str(caught.value)


def test_npz_with_x_and_length_is_cut_at_the_lengths(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    x = np.arange(10.0).reshape(5, 2)
    np.savez(path, x=x, length=[2, 3], label=["run", "sit"], subject=[7, 8], trial=[1, 4])
    first, second = read_recordings(path)
    assert (first.label, first.subject, first.trial) == ("run", 7, 1)
    np.testing.assert_array_equal(second.x, x[2:])
    assert second.trial == 4


def test_npz_with_named_channels_in_millionths_is_read(tmp_path: Path) -> None:
    path = tmp_path / "watch.npz"
    np.savez(
        path, X_labels=["ax", "ay"], ax=[1_000_000, 2_000_000, 0], ay=[0, 500_000, -1], length=[2, 1],
        y=[1, 0], y_labels=["PEN", "ABD"], subject=[1, 2], side=[0, 1],
    )  # fmt: skip
    first, second = read_recordings(path)
    assert (first.label, second.label, second.trial) == ("ABD", "PEN", 1)
    np.testing.assert_allclose(first.x, [[1, 0], [2, 0.5]])


def test_people_of_an_npz_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    for people in (["01", "1"], [b"01", b"1"]):
        np.savez(path, **{**GOOD, "subject": np.array(people), "place": np.array(people)})
        assert [r.subject for r in read_recordings(path)] == ["01", "1"]
        assert [r.further for r in read_recordings(path, further=["place"])] == [
            {"place": "01"},
            {"place": "1"},
        ]


GOOD = {
    "x": np.zeros((5, 2)),
    "length": np.array([2, 3]),
    "label": np.array([0, 1]),
    "subject": np.array([1, 2]),
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"length": None}, RecordsError, "no array 'length'.*windows that are cut already"),
        ({"length": np.array(["2", "3"])}, RecordsError, "'length' must hold one whole number per recording"),
        ({"length": np.array([2.5, 2.5])}, RecordsError, "'length' must hold one whole number per recording"),
        ({"x": None}, RecordsError, "no array 'x'"),
        ({"subject": None}, DomainError, r"no array 'subject'; it has label, length, x\..*--subject"),
        ({"length": np.array([2, 2])}, RecordsError, r"adds up to \(4\); got float64 \(5, 2\)"),
        ({"length": np.array([5, 0])}, RecordsError, "at least one sample"),
        ({"label": np.array([0])}, RecordsError, r"'label' must have one value per recording \(2\)"),
        ({"subject": np.array([7.0, np.nan])}, RecordsError, "'subject' has missing values"),
        ({"label": np.array(["", "sit"])}, RecordsError, "'label' has missing values"),
        ({"x": np.array([["a", "b"]] * 5)}, RecordsError, "must be numbers"),
        ({"x": np.full((5, 2), np.nan)}, RecordsError, "2 of 2 recordings have missing"),
        (
            {"label": np.array([0, 2]), "label_labels": np.array(["run", "sit"])},
            RecordsError,
            "'label' has the codes 2, but 'label_labels' names 0 to 1 only",
        ),
        (  # not the last name
            {"label": np.array([0, -1]), "label_labels": np.array(["run", "sit"])},
            RecordsError,
            "'label' has the codes -1, but",
        ),
        (
            {"label": np.array([0.0, 1.0]), "label_labels": np.array(["run", "sit"])},
            RecordsError,
            "'label' must hold whole numbers, places in the list of names 'label_labels'; got float64",
        ),
        (
            {"x": None, "X_labels": np.array(["ax", "ay"]), "ax": np.zeros(5)},
            RecordsError,
            "'X_labels' names the channels 'ay', but there is no such array",
        ),
        (
            {"x": None, "X_labels": np.array(["ax", "ay"]), "ax": np.zeros(5), "ay": np.zeros(4)},
            RecordsError,
            r"must be numbers, as many samples each; got ax float64 \(5,\), ay float64 \(4,\)",
        ),
        (
            {"x": None, "X_labels": np.array(b"ax"), "ax": np.array(["1"] * 5)},
            RecordsError,
            r"must be numbers, as many samples each; got ax <U1 \(5,\)",
        ),
        ({"subject": np.array([b"J\xe9", b"A"])}, RecordsError, "'subject' holds bytes that are not UTF-8"),
        ({"label": np.array([{}, {}], dtype=object)}, RecordsError, "npz file of plain arrays"),
    ],
)
def test_npz_errors_name_the_file_and_the_rule(
    tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, **{name: value for name, value in {**GOOD, **change}.items() if value is not None})
    with pytest.raises(error, match=message) as caught:
        read_recordings(path)
    assert "r.npz" in str(caught.value)


def test_truncated_npz_missing_path_and_unknown_suffix_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordsError, match=r"r\.npz is not a complete npz"):
        read_recordings(path)
    with pytest.raises(RecordsError, match="does not exist"):
        read_recordings(tmp_path / "none.csv")
    with pytest.raises(RecordsError, match=r"not from \.xlsx"):
        read_recordings(write(tmp_path / "r.xlsx", "x"))


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="needs the real watch data in KESHI_DATA")
def test_the_watch_data_is_read() -> None:
    found = read_recordings(Path(os.environ["KESHI_DATA"]) / "watch" / "watch.npz")
    assert len(found) == 140
    assert sum(len(r.x) for r in found) == 244_102
    assert {r.label for r in found} == {"PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"}
    assert {r.subject for r in found} == set(range(1, 11))
