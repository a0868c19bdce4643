"""The demo runs both jobs on the real data that ship inside packages, and names a report that is there."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.trained_generator import Generator

pytestmark = pytest.mark.skipif(
    find_spec("statsmodels") is None or find_spec("seglearn") is None,
    reason="the demo's data are not installed",
)


@pytest.mark.timeout(600)
def test_the_quick_demo_prints_about_ten_lines_and_writes_a_report(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "keshi.cli.app", "demo", "--quick", "-o", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 6 <= len(done.stdout.splitlines()) <= 12
    assert "(1.00, 1e-05)-differential privacy for adding or removing one record" in done.stdout
    assert "no worst-case guarantee" in done.stdout
    assert "preset robust" in done.stdout
    assert "demo/private/report.html" in done.stdout.splitlines()[-1]
    page = (tmp_path / "demo/private/report.html").read_text(encoding="utf-8")
    assert "5,912 people" in page
    assert "do not publish" in page
    release = tmp_path / "demo/table/release"
    assert PrivateEmbedding.load(release / "embedding").statement.epsilon == 1.0
    assert len(Generator.load(release / "generator").sample(10)) == 10
    measured = json.loads((tmp_path / "demo/private/censoring.json").read_text(encoding="utf-8"))
    assert 0 < measured["after"]["attacker"]["accuracy"] < 1
    assert measured["training"]["preset"] == "robust-quick"
    card = (release / "CARD.md").read_text(encoding="utf-8")
    assert "everything in this folder" in card
    assert not any("encoder" in str(path) for path in release.rglob("*"))  # it has no such guarantee
    assert (tmp_path / "demo/sensor/release/encoder/manifest.json").exists()


@pytest.mark.parametrize("columns", [60, 80])
def test_lines_are_broken_between_words_at_a_terminal_and_left_whole_elsewhere(columns, monkeypatch, capsys):
    from keshi.cli.demo import _print

    line = "    control, the plain network with as much further training: 0.685 [0.623, 0.746]; blind guess 0.176"
    _print(line)
    assert capsys.readouterr().out == line + "\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    _print(line)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert max(len(one) for one in shown) <= columns
    assert shown[1].startswith(" " * 6)
    assert " ".join(one.strip() for one in shown) == line.strip()
