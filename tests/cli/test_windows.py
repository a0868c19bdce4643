import numpy as np
import pandas as pd
import pytest

from keshi.cli.app import app


def write_recordings(path, lengths=(40, 25)):
    rows = [
        {"ax": 0.1 * i, "ay": float(number), "label": "walk", "subject": f"s{number}"}
        for number, length in enumerate(lengths)
        for i in range(length)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def test_windows_are_written_time_first_with_label_subject_and_trial(tmp_path, capsys) -> None:
    write_recordings(tmp_path / "r.csv")
    app(
        ["windows", str(tmp_path / "r.csv"), "--window", "10", "-o", str(tmp_path / "w.npz")],
        standalone_mode=False,
    )
    assert "11 windows of 10 samples x 2 channels" in capsys.readouterr().out
    with np.load(tmp_path / "w.npz", allow_pickle=False) as found:
        assert found["x"].shape == (11, 10, 2)
        np.testing.assert_allclose(found["x"][1, :, 0], 0.1 * np.arange(5, 15), rtol=1e-6)
        assert found["subject"].tolist() == ["s0"] * 7 + ["s1"] * 4
        assert found["label"].tolist() == ["walk"] * 11
        assert found["trial"].tolist() == [0] * 7 + [1] * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--window", "30"], "shorter than a window"),
        (["--window", "0"], "window"),
        (["--stride", "-1"], "stride"),
        (["--preset-windows", "uschad"], "preset-windows"),
        (["--preset-windows", "uschad-full", "--stride", "3"], "fixes its own stride"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_nothing_is_written(tmp_path, options, said) -> None:
    write_recordings(tmp_path / "r.csv")
    with pytest.raises(ValueError, match=said):
        app(
            ["windows", str(tmp_path / "r.csv"), *options, "-o", str(tmp_path / "w.npz")],
            standalone_mode=False,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_no_file_is_replaced_unasked_and_none_but_npz_is_written(tmp_path) -> None:
    write_recordings(tmp_path / "r.csv")
    (tmp_path / "w.npz").write_text("mine")
    for name, said in (("w.npz", "exists"), ("w.csv", r"written as \.npz")):
        with pytest.raises(ValueError, match=said):
            app(
                ["windows", str(tmp_path / "r.csv"), "--window", "10", "-o", str(tmp_path / name)],
                standalone_mode=False,
            )
    assert (tmp_path / "w.npz").read_text() == "mine"
