"""keshi inspect: what a saved thing is, what it promises and what it holds; checks every byte, runs nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import typer


def inspect(
    path: Path = typer.Argument(help="Artefact (folder or zip), or the folder of a run."),
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Print the kind, the settings, the privacy statement and the files of an artefact or a run.

    Example: keshi inspect people.embedding
    """
    from keshi.artifacts.atomic import RUN_FILE

    parts = (RUN_FILE, "release", "statement.json")  # a run, an unfinished run, or the release of one
    is_run = not (path / "manifest.json").exists() and any((path / part).exists() for part in parts)
    facts = _run_facts(path) if is_run else _artifact_facts(path)
    print(json.dumps(facts, indent=2) if as_json else printable("\n".join(_lines(facts))))


def printable(text: str) -> str:
    """`text` without characters that could move the cursor or recolour the terminal: files are not trusted."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _artifact_facts(path: Path) -> dict[str, Any]:
    from keshi.artifacts.store import json_from_bytes, load, tensors_from_bytes
    from keshi.errors import ArtifactError

    if path.is_file():
        with open(path, "rb") as stream:
            if stream.read(15) == b"SQLite format 3":
                raise ArtifactError(f"{path} is a ledger. Run: keshi ledger show {path}")
    artifact = load(path)
    tensors = {
        name: {
            key: {"shape": list(array.shape), "type": str(array.dtype)}
            for key, array in tensors_from_bytes(data, source=name).items()
        }
        for name, data in artifact.files.items()
        if name.endswith(".safetensors")
    }
    statement = artifact.files.get("statement.json")
    return {
        "path": str(path),
        "kind": artifact.kind,
        "statement": json_from_bytes(statement, source="statement.json") if statement is not None else None,
        "settings": artifact.settings,
        "files": {name: len(data) for name, data in artifact.files.items()},
        "tensors": tensors,
    }


def _run_facts(path: Path) -> dict[str, Any]:
    """A run's files with their sizes, and the facts of every artefact in it."""
    from keshi.artifacts.store import is_keshi_folder

    files: dict[str, int] = {}
    artifacts = []
    for root, folders, names in os.walk(path):
        for folder in sorted(folders):
            if is_keshi_folder(Path(root, folder)):
                artifacts.append(_artifact_facts(Path(root, folder)))
                folders.remove(folder)
        folders.sort()
        for name in sorted(names):
            file = Path(root, name)
            files[file.relative_to(path).as_posix()] = file.lstat().st_size
    statement = path / "release" / "statement.json"
    promised = None
    if statement.is_file():
        from keshi.artifacts.store import json_from_bytes

        promised = json_from_bytes(statement.read_bytes(), source=str(statement))
    return {"path": str(path), "kind": "run", "statement": promised, "files": files, "artifacts": artifacts}


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"{facts['path']}: {facts['kind']}"]
    statement = facts["statement"]
    if isinstance(statement, dict):
        if "sentence" in statement:
            lines.append(f"  {statement['sentence']}")
        lines += _listing("statement", {key: value for key, value in statement.items() if key != "sentence"})
    lines += _listing("settings", facts.get("settings", {}))
    sizes = {name: f"{size:,} bytes" for name, size in facts["files"].items()}
    for name, tensors in facts.get("tensors", {}).items():
        shapes = ", ".join(f"{key} {tuple(t['shape'])} {t['type']}" for key, t in tensors.items())
        sizes[name] += f": {shapes}"
    lines += _listing("files", sizes)
    for artifact in facts.get("artifacts", []):
        lines += ["", *_lines(artifact)]
    return lines


def _listing(title: str, values: dict[str, Any]) -> list[str]:
    if not values:
        return []
    width = max(len(key) for key in values)
    texts = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    return [f"  {title}", *(f"    {key.ljust(width)}  {_cut(text)}" for key, text in texts.items())]


def _cut(text: str, *, width: int = 160) -> str:
    return text if len(text) <= width else f"{text[:width]} ... ({len(text):,} characters; --json prints all)"
