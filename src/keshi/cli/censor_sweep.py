"""Many censoring runs on one split: methods x strengths x seeds, measured as they go, resumable after a kill.

A cell is one (method, strength, seed). Finished cells stand as lines in results.jsonl; those at work have a checkpoint
beside it. Lives here because only the command line knows both censoring and auditing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.censoring.training import Schedule
    from keshi.records.windows import Windows

METHODS = ("cnn", "afl-mlp", "afl-dnn", "sct", "lsm")
STRENGTHS = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5)  # lambda, Iwasawa et al. (JSAI 2018)
# Without an adversary the forms of AFL are one training.
CONTROLS = {
    "afl-mlp": "afl-dnn", "afl-dnn": "afl-dnn", "afl-grl": "afl-dnn", "sct": "sct", "lsm": "lsm", "hsic": "hsic",
    "maxent": "maxent",
}  # fmt: skip
RESULTS_FILE = "results.jsonl"
PLAN_FILE = "plan.json"  # the marks of plan, windows and labels, there before the first encoder
# What must be the same for cells to stand in one figure. Sweeps of old have no mark of labels and people.
MARKS = ("fingerprint", "labelled")
INFORMATIVE = (1.0, 0.0, 0.5, 2.0, 0.2, 2.5, 0.1, 1.5)  # strengths in the order in which they are run


@dataclass(frozen=True, order=True)
class Cell:
    """One training: the method, its strength (0: the control) and the seed."""

    method: str
    strength: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.strength:g}-seed{self.seed}"


@dataclass(frozen=True)
class SweepPlan:
    """What is the same for all cells.

    Attributes:
        schedule: of the training; with `options` per method it is part of what makes a cell repeatable. Where it has
            noise, a cell repeats up to that: its key comes from the operating system, and a resumed cell keeps it.
        split, held_out: as for censoring.splits.split_people.
        unknown: the strangers; the last three tenths by default.
        guard: False is eq. 1 to the letter.
        attack_hidden: widths of the fresh attacker; the paper's by default.
        attack_every: a fresh attacker after every so many rounds, and after the last; F1 is measured after all of them.
        attack_rows, attack_epochs: budget of that attacker.
        full_rounds: rounds after which a fresh attacker gets all rows and `full_epochs`, and the encoder is kept.
        most_windows: train on at most so many windows.
    """

    schedule: Schedule
    split: str = "random"
    held_out: float = 0.1
    unknown: tuple | None = None
    guard: bool = False
    partners: str = "batch"
    attack_hidden: tuple[int, ...] = (800, 200)
    attack_every: int = 1
    attack_rows: int = 20_000
    attack_epochs: int = 3
    full_rounds: tuple[int, ...] = (10, 30)
    full_epochs: int = 10
    most_windows: int | None = None
    checkpoint_every: int = 3
    notes: dict[str, Any] = field(default_factory=dict)

    def options(self, method: str) -> dict[str, Any]:
        return {"partners": self.partners} if method in ("sct", "lsm") else {}


def sweep_cells(
    *,
    methods: Sequence[str] = METHODS,
    strengths: Sequence[float] = STRENGTHS,
    seeds: Sequence[int] = (0,),
    further_seeds: Sequence[int] = (),
) -> list[Cell]:
    """All cells, the most informative first; further seeds last, at strength 1, its control and the plain network."""
    adversarial = [method for method in reversed(methods) if method != "cnn"]
    controls = tuple(dict.fromkeys(CONTROLS[method] for method in adversarial))
    order = sorted(
        {*strengths, 0.0}, key=lambda s: INFORMATIVE.index(s) if s in INFORMATIVE else len(INFORMATIVE)
    )
    cells = [Cell("cnn", 0.0, seed) for seed in seeds]
    if "sct" in methods and 1.0 in strengths:  # the claim and its control before all others
        cells += [Cell("sct", strength, seed) for strength in (1.0, 0.0) for seed in seeds]
    for strength in order:
        for seed in seeds:
            cells += [Cell(m, strength, seed) for m in (adversarial if strength else controls)]
    for seed in further_seeds:
        cells += [Cell("cnn", 0.0, seed), *(Cell(m, 1.0, seed) for m in adversarial)]
        cells += [Cell(m, 0.0, seed) for m in controls]
    return list(dict.fromkeys(cells))


def check_sweep_folder(folder: Path) -> None:
    """Raise where the results cannot go into `folder`, as it or what it would stand in is a file."""
    from keshi.errors import ArtifactError

    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise ArtifactError(
            f"{there} is a file, and a sweep needs a folder for results, checkpoints and figures. Choose another name."
        )


def read_results(*folders: Path) -> list[dict[str, Any]]:
    """The finished cells in the folders of one sweep; where two have the same cell, the first one's.

    Raises:
        ArtifactError: the folders hold other plans or other windows, whose points must not stand in one figure.
    """
    from keshi.errors import ArtifactError

    found: dict[Cell, dict[str, Any]] = {}
    for folder in folders:
        file = folder / RESULTS_FILE
        for text in file.read_text().splitlines() if file.exists() else ():
            line = json.loads(text)
            if _differ(line, next(iter(found.values()), line)):
                raise ArtifactError(
                    f"{folder} holds cells of another plan or of other windows than {folders[0]}; draw them apart."
                )
            found.setdefault(Cell(**line["cell"]), line)
    return list(found.values())


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two lines are of different plans, windows, labels or people, as far as both say."""
    return any(one[name] != other[name] for name in MARKS if name in one and name in other)


def run_sweep(
    windows: Windows,
    folder: Path,
    cells: Iterable[Cell],
    plan: SweepPlan,
    *,
    also: Sequence[Path] = (),
    jobs: int = 1,
    threads: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run the cells that are not in folder/results.jsonl yet, and return all its lines.

    A kill loses the rounds since the last checkpoint of the cells at work. Another plan, other windows, labels or
    people in the same folder are refused, because their points must not stand in one figure, and so is a second sweep
    at the same time.

    Args:
        also: further folders of the same sweep, from other machines; their cells are not run again, and their lines
            are returned after the folder's own.
        jobs: processes that each train one cell; the points are the same with any number.
        threads: of torch in each of them.
    """
    from keshi._validate import positive_integer
    from keshi.artifacts.locks import alone_in

    positive_integer("jobs (--jobs)", jobs)
    check_sweep_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, what="sweep"):
        return _run_sweep(windows, folder, list(dict.fromkeys(cells)), plan, also, jobs, threads, progress)


def _run_sweep(
    windows: Windows,
    folder: Path,
    cells: list[Cell],
    plan: SweepPlan,
    also: Sequence[Path],
    jobs: int,
    threads: int,
    progress: Callable[[str], None] | None,
) -> list[dict[str, Any]]:
    from keshi.artifacts.atomic import write_atomically
    from keshi.censoring.checkpoints import fingerprint
    from keshi.cli.sweep_cell import run_cell
    from keshi.errors import ArtifactError

    say = progress or (lambda line: None)
    marks = {
        "fingerprint": fingerprint(
            json.loads(json.dumps(asdict(plan))), windows.x, windows.trial, windows.start
        ),
        # the same windows may be given another label to keep, or another attribute to erase
        "labelled": fingerprint({}, windows.label, windows.subject),
    }
    if missing := [str(one) for one in also if not (one / RESULTS_FILE).exists()]:
        raise ArtifactError(f"no {RESULTS_FILE} of a sweep in {', '.join(missing)}; check --also.")
    results, others = read_results(folder), read_results(*also)
    begun = folder / PLAN_FILE
    at_work = [json.loads(begun.read_text())] if begun.exists() else []
    if any(_differ(line, marks) for line in (*at_work, *results)):
        raise ArtifactError(
            f"{folder} holds cells of another plan or of other windows, labels or people; choose another folder, or "
            "remove this one."
        )
    if any(_differ(line, marks) for line in others):
        raise ArtifactError(
            f"{', '.join(map(str, also))}: cells of another plan or of other windows, labels or people; leave them out."
        )
    write_atomically(begun, json.dumps(marks).encode())

    def finished(cell: Cell, found: dict[str, Any]) -> None:
        results.append({**marks, "cell": asdict(cell), **found})
        # The whole file anew: a line is there or not, whenever the power goes.
        text = "".join(json.dumps(one) + "\n" for one in results)
        write_atomically(folder / RESULTS_FILE, text.encode())
        shutil.rmtree(folder / "work" / cell.name, ignore_errors=True)

    done = {Cell(**line["cell"]) for line in results + others}
    todo = {c: f"cell {n}: {c.name}" for n, c in enumerate(cells, start=1) if c not in done}
    if jobs > 1 and todo:
        from keshi.cli.sweep_workers import run_in_processes

        run_in_processes(windows, folder, todo, plan, jobs=jobs, threads=threads, say=say, finished=finished)
    else:
        for cell, title in todo.items():
            say(title)
            finished(cell, run_cell(windows, folder, cell, plan, threads=threads, say=say))
    own = {Cell(**line["cell"]) for line in results}
    return results + [line for line in others if Cell(**line["cell"]) not in own]
