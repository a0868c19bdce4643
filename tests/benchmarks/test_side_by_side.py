import importlib.util
import sys
from pathlib import Path

import data_sets
import methods
import pytest

from keshi.auditing.yardsticks import independent_columns

SCRIPT = Path(methods.__file__).parents[1] / "experiments" / "side_by_side.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("side_by_side_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_that_are_there_are_drawn_and_not_made_again(script, tmp_path, monkeypatch, capsys):
    split = data_sets.load_split("quick", None)
    (tmp_path / "quick").mkdir()
    for seed, name in enumerate(("keshi", "DP-SGD GAN")):
        method = methods.all_methods()[script.RELEASES[name]]
        file = methods.output_file(method, "quick", epsilon=1.0, seed=0, work=tmp_path)
        data_sets.write_csv(independent_columns(split.train, seed=seed), split.domain, file)
    monkeypatch.setattr(script, "run_method", lambda *a, **k: pytest.fail("a table was made again"))
    page, pictures = tmp_path / "page.html", tmp_path / "pictures"
    arguments = [
        "--quick",
        "--releases",
        "keshi",
        "DP-SGD GAN",
        "--work",
        tmp_path,
        "-o",
        page,
        "--pictures",
        pictures,
    ]
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *map(str, arguments)])
    script.main()
    assert page.read_text("utf-8").count('<svg class="narrow"') == (4 + 6) * 3
    assert "DP-SGD GAN" in (pictures / "columns.svg").read_text("utf-8")
    assert "age and label" in (pictures / "pairs.svg").read_text("utf-8")
    assert capsys.readouterr().out.count("wrote") == 3


def test_a_release_that_fails_is_left_out_with_its_reason(script, tmp_path, monkeypatch, capsys):
    split = data_sets.load_split("quick", None)
    made = iter([split.train, None])

    def run(method, *arguments, **settings):
        table = next(made)
        return methods.Outcome("done" if table is not None else "failed", "no opacus", None, None, table)

    monkeypatch.setattr(script, "run_method", run)
    page = tmp_path / "page.html"
    arguments = ["--quick", "--releases", "keshi", "DP-SGD GAN", "--work", tmp_path, "-o", page]
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *map(str, arguments)])
    script.main()
    assert "DP-SGD GAN is left out: failed: no opacus" in capsys.readouterr().err
    assert "GAN" not in page.read_text("utf-8")
