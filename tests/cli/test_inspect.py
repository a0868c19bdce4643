from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keshi.artifacts.store import json_to_bytes, new_folder, save, tensors_to_bytes
from keshi.cli.inspect import inspect, printable
from keshi.errors import ArtifactError

SENTENCE = "(1.00, 1e-05)-differential privacy for adding or removing one subject"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(inspect)
    return made


def run(app: typer.Typer, *arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).stdout


def save_embedding(path: Path) -> None:
    files = {
        "values.safetensors": tensors_to_bytes({"values": np.zeros((30, 2))}),
        "statement.json": json_to_bytes({"sentence": SENTENCE, "epsilon": 1.0}),
    }
    save(path, kind="embedding", settings={"frequencies": 30}, files=files)


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_an_artefact_is_shown_with_its_promise_settings_files_and_tensors(
    app: typer.Typer, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"people{suffix}"
    save_embedding(path)
    text = run(app, str(path))
    for expected in ("embedding", SENTENCE, "frequencies  30", "statement.json", "values (30, 2) float64"):
        assert expected in text
    facts = json.loads(run(app, str(path), "--json"))
    assert facts["kind"] == "embedding"
    assert facts["statement"] == {"sentence": SENTENCE, "epsilon": 1.0}
    assert facts["settings"] == {"frequencies": 30}
    assert facts["tensors"] == {"values.safetensors": {"values": {"shape": [30, 2], "type": "float64"}}}
    assert set(facts["files"]) == {"values.safetensors", "statement.json"}


def test_a_run_folder_is_shown_with_its_files_and_the_artefacts_in_it(
    app: typer.Typer, tmp_path: Path
) -> None:
    with new_folder(tmp_path / "run") as folder:
        (folder / "release").mkdir()
        (folder / "private").mkdir()
        (folder / "private" / "report.html").write_text("12345")
        (folder / "release" / "statement.json").write_bytes(json_to_bytes({"sentence": SENTENCE}))
        save_embedding(folder / "release" / "people.embedding")
    facts = json.loads(run(app, str(tmp_path / "run"), "--json"))
    assert facts["kind"] == "run"
    assert facts["files"]["private/report.html"] == 5
    assert facts["statement"]["sentence"] == SENTENCE
    assert [artifact["kind"] for artifact in facts["artifacts"]] == ["embedding"]
    assert not any("people.embedding" in name for name in facts["files"])
    assert run(app, str(tmp_path / "run")).count(SENTENCE) == 2


def test_an_altered_artefact_is_refused_also_inside_a_run(app: typer.Typer, tmp_path: Path) -> None:
    with new_folder(tmp_path / "run") as folder:
        save_embedding(folder / "people.embedding")
    (tmp_path / "run" / "people.embedding" / "statement.json").write_bytes(b"{}")
    for path in (tmp_path / "run" / "people.embedding", tmp_path / "run"):
        with pytest.raises(ArtifactError, match=r"statement\.json"):
            run(app, str(path))


def test_a_ledger_is_sent_to_its_own_command(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "people.ledger").write_bytes(b"SQLite format 3\0")
    with pytest.raises(ArtifactError, match="keshi ledger show"):
        run(app, str(tmp_path / "people.ledger"))


def test_a_file_cannot_send_commands_to_the_terminal(app: typer.Typer, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202egnp"
    save(tmp_path / "a", kind="audit", settings={evil: evil}, files={})
    text = run(app, str(tmp_path / "a"))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert printable("größe 消し\n") == "größe 消し\n"


def test_inspect_starts_without_torch(tmp_path: Path) -> None:
    save_embedding(tmp_path / "a")
    code = (
        "import sys; from pathlib import Path; from keshi.cli.inspect import inspect;"
        "inspect(Path(sys.argv[1]), False);"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
