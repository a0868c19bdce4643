"""As test_non_interference.py, for a file of images and one of windows: with the paid values held fixed, nothing that
`keshi synthesize` releases or prints depends on the records."""

import os

import numpy as np
import pytest

from keshi.cli.app import app
from keshi.privacy import mechanisms
from keshi.records.column_kinds import Categorical, Image, Window
from keshi.records.domain import Domain
from keshi.synthesis.features import AMPLITUDE, WEIGHT

LABEL = Categorical(("no", "yes", "rare"))
DOMAINS = {
    "images": Domain({"x": Image(5, 6), "y": LABEL}, label="y", ignore=("who",)),
    "windows": Domain(
        {"x": Window(8, 2, (-1, -50), (1, 50), rate=10.0), "y": LABEL}, label="y", ignore=("who",)
    ),
}
RECORDS = 60
BOTH = pytest.mark.parametrize("kind", list(DOMAINS))
PRESETS = {"keshi": (), "paper": ("--steps", "2")}
EACH_PRESET = pytest.mark.parametrize("preset", list(PRESETS))


def records(kind, n=RECORDS):
    randomness = np.random.default_rng(3)
    shape = DOMAINS[kind].columns["x"].shape
    x = randomness.uniform(0.3, 0.6, (RECORDS, *shape)).astype(np.float32)
    if kind == "images":
        x = np.rint(255 * x)
    return {
        "x": x[:n],
        "y": randomness.choice(["no", "yes"], RECORDS)[:n],
        "who": np.array([f"p{row % 20}" for row in range(RECORDS)])[:n],
    }


def with_extreme(kind, place):
    """One record replaced (or, at the end, added): entries far outside, of a class and a person that no other has."""
    table = records(kind)
    wild = np.where(np.arange(table["x"][0].size).reshape(table["x"][0].shape) % 2, 3e38, -3e38)
    new = {
        "x": wild[None].astype(np.float32),
        "y": np.array(["rare"]),
        "who": np.array(["somebody else entirely"]),
    }
    return {
        name: np.concatenate([array[:place], new[name], array[place + 1 :]]) for name, array in table.items()
    }


def synthesize(folder, table, kind, preset, capsys, *options):
    """Run the command in a folder of its own; returns release/ as name -> bytes, and what was printed on stdout."""
    folder.mkdir()
    np.savez(folder / "records.npz", **table)
    (folder / "records.toml").write_text(DOMAINS[kind].dumps())
    start = os.getcwd()
    os.chdir(folder)  # the same relative paths in every world
    try:
        arguments = [
            "synthesize",
            "records.npz",
            "--domain",
            "records.toml",
            "--epsilon",
            "1",
            "--output",
            "run",
        ]
        steps = ("--steps", "2") if kind == "windows" else PRESETS[preset]  # images have none in preset keshi
        arguments += ["--preset", preset, *steps, "--run", "one", "--threads", "1", *options]
        app(arguments, standalone_mode=False)
    finally:
        os.chdir(start)
    release = folder / "run" / "release"
    files = {
        path.relative_to(release).as_posix(): path.read_bytes() if path.is_file() else b"(folder)"
        for path in sorted(release.rglob("*"))
    }
    assert "synthetic.npz" in files
    return files, capsys.readouterr().out


@pytest.fixture(autouse=True)
def pinned(monkeypatch):
    def draw(sums, scale):
        values = np.random.default_rng(len(sums)).uniform(5, RECORDS, len(sums))
        return np.rint(values * AMPLITUDE * WEIGHT).astype(np.int64)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", draw)


@EACH_PRESET
@BOTH
def test_an_extreme_record_in_place_of_another_changes_no_byte(kind, preset, tmp_path, capsys):
    options = ("--relation", "replace-one", "--no-report")
    first = synthesize(tmp_path / "a", records(kind), kind, preset, capsys, *options)
    second = synthesize(tmp_path / "b", with_extreme(kind, 7), kind, preset, capsys, *options)
    assert first == second


@EACH_PRESET
@BOTH
def test_the_number_of_records_and_the_report_change_no_byte(kind, preset, tmp_path, capsys):
    whole = synthesize(tmp_path / "a", records(kind), kind, preset, capsys, "--no-report")
    assert synthesize(tmp_path / "b", records(kind, 1), kind, preset, capsys, "--no-report") == whole
    assert synthesize(tmp_path / "c", records(kind, 0), kind, preset, capsys, "--no-report") == whole
    assert (
        synthesize(tmp_path / "d", with_extreme(kind, RECORDS), kind, preset, capsys, "--no-report") == whole
    )
    files, told = synthesize(tmp_path / "e", records(kind), kind, preset, capsys)
    assert (tmp_path / "e" / "run" / "private" / "report.html").exists()
    assert files == whole[0]
    assert told == synthesize(tmp_path / "f", records(kind, 50), kind, preset, capsys)[1]


@EACH_PRESET
@BOTH
def test_a_subject_more_changes_no_byte(kind, preset, tmp_path, capsys):
    options = ("--subject", "who", "--no-report")
    first = synthesize(tmp_path / "a", records(kind), kind, preset, capsys, *options)
    second = synthesize(tmp_path / "b", with_extreme(kind, RECORDS), kind, preset, capsys, *options)
    assert first == second
    assert b"one subject (column who)" in first[0]["statement.json"]
