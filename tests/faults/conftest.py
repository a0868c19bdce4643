"""The harness of the fault tests: a folder with people, a ledger, and a command line that can be broken anywhere.

CPU seconds are added up over all cases and printed by `pytest -s`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keshi
from keshi.artifacts import store
from keshi.privacy.ledger import PrivacyLedger

HERE = Path(__file__).parent
ROWS = 60
DOMAIN = """\
format = "keshi-domain-1"
label = "class"
[columns.age]
type = "numerical"
lower = 0
upper = 99
[columns.city]
type = "categorical"
categories = ["Aa", "Bb"]
[columns.class]
type = "categorical"
categories = [0, 1]
"""


EMBED = (
    "embed",
    "people.csv",
    "--domain",
    "people.toml",
    "--preset",
    "paper",  # its training is long enough to be interrupted
    "--epsilon",
    "1",
    "--run",
    "r",
    "-o",
    "p.embedding",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (or -signal), and what it said on stdout and stderr."""

    status: int
    said: str


class Driver:
    """The warm process; see driver.py."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(keshi.__file__).resolve().parents[1])}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a fork needs a single thread
        environment.pop(
            "PYTHONUNBUFFERED", None
        )  # what is printed shall wait in a buffer, as it does for users
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.cpu = 0.0
        self._answer()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver has died"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    running = Driver()
    yield running
    running.close()
    print(f"\nfault cases used {running.cpu:.1f} CPU seconds, without the imports")


@dataclass(frozen=True)
class People:
    """A folder with people.csv, people.toml and people.ledger, in which commands run."""

    folder: Path
    driver: Driver

    def start(self, *arguments: object, faults: Any = (), **more: Any) -> int:
        """Start a command; `faults` and what else there is are those of driver.py."""
        request = {
            "argv": [str(argument) for argument in arguments],
            "folder": str(self.folder),
            "faults": list(faults),
            **more,
            "trace": str(self.folder / "state" / "trace"),
        }
        return int(self.driver.ask(request)["pid"])

    def wait(self, pid: int) -> Ended:
        answer = self.driver.ask({"wait": pid})
        self.driver.cpu += answer["cpu"]
        return Ended(answer["status"], answer["said"])

    def run(self, *arguments: object, faults: Any = (), **more: Any) -> Ended:
        """A command from its start to its end, whichever that is."""
        return self.wait(self.start(*arguments, faults=faults, **more))

    def finishes(self, *arguments: object, faults: Any = ()) -> str:
        """What a command says that must succeed."""
        ended = self.run(*arguments, faults=faults)
        assert ended.status == 0, ended.said
        return ended.said

    def book(self) -> Book:
        """The ledger, opened and verified as the next command will open it."""
        with PrivacyLedger.open(self.folder / "people.ledger", state=self.folder / "state") as ledger:
            entries = ledger.entries()
            spends = {entry.hash: entry.fields for entry in entries if entry.kind == "spend"}
            values = [entry.fields for entry in entries if entry.kind == "value"]
            payloads = {(v["run"], v["index"]): ledger.stored(v["run"], v["index"]) or b"" for v in values}
        assert len(payloads) == len(values), "a measurement has two noisy values"
        trace = self.folder / "state" / "trace"
        draws = trace.read_text().split("\n")[:-1] if trace.exists() else []
        return Book(spends, payloads, tuple(tuple(line.split()) for line in draws))

    def refuses(self, *arguments: object, faults: Any = (), **more: Any) -> str:
        """What a command says that must end with status 2, one message, and no temporary left behind."""
        ended = self.run(*arguments, faults=faults, **more)
        assert ended.status == 2, ended
        assert "Traceback" not in ended.said, ended.said
        assert "Error: " in ended.said, ended.said
        assert self.hidden() == []
        return ended.said

    def hidden(self) -> list[str]:
        """The temporaries that lie about, the machine's memory of ledgers aside."""
        return [
            str(path)
            for path in self.folder.rglob(".*")
            if "state" not in path.relative_to(self.folder).parts
        ]

    def sums(self, embedding: str) -> list[bytes]:
        """The noisy values of a saved embedding, as bytes, measurement by measurement."""
        artifact = store.load(self.folder / embedding, kind="embedding")
        tensors = store.tensors_from_bytes(artifact.files["measurements.safetensors"], source="test")
        return [tensors[f"{index}.sums"].astype("<i8").tobytes() for index in range(2)]

    def check_files(self, *folders: str) -> None:
        """Whatever has a final name is whole; whatever is not whole is hidden and called partial."""
        for folder in folders:
            for path in sorted((self.folder / folder).iterdir()):
                if path.name.startswith("."):
                    assert path.name.endswith(".partial"), path
                elif path.is_dir():
                    store.load(path)
                else:
                    _check_file(path)


@dataclass(frozen=True)
class Book:
    """What the ledger says after a fault, beside what was really drawn.

    Attributes:
        spends: hash -> fields of each spend.
        values: (run, index) -> noisy value kept.
        draws: (process, hash of the spend that paid for it or "unpaid", block) of each draw.
    """

    spends: dict[str, dict[str, Any]]
    values: dict[tuple[str, int], bytes]
    draws: tuple[tuple[str, ...], ...]

    def check(self) -> None:
        """No noise without a spend, no spend that pays for two draws: the ledger never under-counts."""
        paid_by: dict[str, set[str]] = {}
        for process, spend, _ in self.draws:
            assert spend in self.spends, f"noise was drawn under {spend}, which the ledger does not hold"
            paid_by.setdefault(spend, set()).add(process)
        assert all(len(processes) == 1 for processes in paid_by.values()), "a spend paid for two draws"
        assert len(set(self.draws)) == len(self.draws), "a block was drawn twice under one spend"
        drawn = sum(self.spends[spend]["mu"] ** 2 for spend in paid_by)
        assert drawn <= sum(fields["mu"] ** 2 for fields in self.spends.values())

    @property
    def counts(self) -> tuple[int, int]:
        """How many spends there are, and how many noisy values were kept."""
        return len(self.spends), len(self.values)


def _check_file(path: Path) -> None:
    content = path.read_bytes()
    if path.suffix == ".csv":
        lines = content.decode().split("\n")
        assert lines[0] == "age,city,class" and lines[-1] == "", path  # noqa: PT018
        assert len(lines) - 2 == ROWS, path
        assert all(line.count(",") == 2 for line in lines[:-1]), path
    elif path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".html":
        assert content.rstrip().endswith(b"</html>"), path
    elif path.suffix == ".md":
        assert b"statement.json" in content[-100:], path
    else:
        raise AssertionError(f"nobody expects {path}")


@pytest.fixture
def people(tmp_path: Path, driver: Driver) -> People:
    """Sixty people, and a budget of epsilon 3: a release at epsilon 1 can be paid even after a lost attempt."""
    return make_people(tmp_path, driver, epsilon=3.0)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, driver: Driver) -> Path:
    """A folder where p.embedding, p.generator and s.csv were made without a fault."""
    made = make_people(tmp_path_factory.mktemp("workshop"), driver, epsilon=3.0)
    made.finishes(*EMBED)
    made.finishes("train", "p.embedding", "--steps", 3, "-o", "p.generator")
    made.finishes("sample", "p.generator", "--rows", ROWS, "-o", "s.csv")
    return made.folder


@pytest.fixture
def copied(tmp_path: Path, driver: Driver, workshop: Path) -> People:
    """A copy of the workshop."""
    shutil.copytree(workshop, tmp_path, dirs_exist_ok=True)
    return People(tmp_path, driver)


@pytest.fixture
def make(tmp_path: Path, driver: Driver) -> Any:
    """As `people`, with another budget: make(epsilon)."""
    return lambda epsilon: make_people(tmp_path, driver, epsilon=epsilon)


def make_people(folder: Path, driver: Driver, *, epsilon: float) -> People:
    random = np.random.default_rng(0)
    rows = zip(
        random.integers(0, 99, ROWS),
        random.choice(["Aa", "Bb"], ROWS),
        random.integers(0, 2, ROWS),
        strict=True,
    )
    lines = [f"{age},{city},{label}" for age, city, label in rows]
    (folder / "people.csv").write_text("\n".join(["age,city,class", *lines, ""]))
    (folder / "people.toml").write_text(DOMAIN)
    made = People(folder, driver)
    made.finishes("ledger", "create", "people.toml", "--epsilon", epsilon)
    return made


@pytest.fixture
def recordings(people) -> People:
    """Four people, two activities, noise: in recordings.csv of their folder."""
    rng = np.random.default_rng(0)
    rows = [
        f"{person},{activity},{value:.3f}"
        for person in "ABCD"
        for activity in ("walk", "run")
        for value in rng.normal(size=60)
    ]
    (people.folder / "recordings.csv").write_text("\n".join(["person,activity,ax", *rows, ""]))
    return people
