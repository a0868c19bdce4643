"""Many censoring runs on one split: methods x strengths x seeds, measured as they go, resumable after a kill.

A cell is one (method, strength, seed). Finished cells stand as lines in results.jsonl; the one at work has a checkpoint
beside it. Lives here because only the command line knows both censoring and auditing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import PeopleSplit
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
PLAN_FILE = "plan.json"  # the fingerprint of plan and windows, there before the first encoder
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


def read_results(file: Path) -> list[dict[str, Any]]:
    """The finished cells of a sweep."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def run_sweep(
    windows: Windows,
    folder: Path,
    cells: Iterable[Cell],
    plan: SweepPlan,
    *,
    threads: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run the cells that are not in folder/results.jsonl yet, and return all its lines.

    A kill loses the rounds since the last checkpoint of one cell. Another plan or other windows in the same folder are
    refused, because their points must not stand in one figure.
    """
    from keshi.artifacts.atomic import write_atomically
    from keshi.censoring.checkpoints import fingerprint
    from keshi.errors import ArtifactError

    say = progress or (lambda line: None)
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(json.loads(json.dumps(asdict(plan))), windows.x, windows.trial, windows.start)
    file = folder / RESULTS_FILE
    results = read_results(file)
    begun = folder / PLAN_FILE
    plan_text = json.dumps({"fingerprint": mark})
    if {line["fingerprint"] for line in results} - {mark} or (
        begun.exists() and begun.read_text() != plan_text
    ):
        raise ArtifactError(
            f"{folder} holds cells of another plan or of other windows; choose another folder."
        )
    write_atomically(begun, plan_text.encode())
    done = {Cell(**line["cell"]) for line in results}
    for number, cell in enumerate(dict.fromkeys(cells), start=1):
        if cell in done:
            continue
        say(f"cell {number}: {cell.name}")
        line = {
            "fingerprint": mark,
            "cell": asdict(cell),
            **_run_cell(windows, folder, cell, plan, threads, say),
        }
        results.append(line)
        # The whole file anew: a line is there or not, whenever the power goes.
        write_atomically(file, "".join(json.dumps(one) + "\n" for one in results).encode())
        shutil.rmtree(folder / "work" / cell.name, ignore_errors=True)
    return results


def _run_cell(
    windows: Windows, folder: Path, cell: Cell, plan: SweepPlan, threads: int, say: Callable[[str], None]
) -> dict[str, Any]:
    import numpy as np

    from keshi.censoring.censor import Censor
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import split_people

    parts = split_people(
        windows, unknown=plan.unknown, held_out=plan.held_out, kind=plan.split, seed=cell.seed
    )
    rows = parts.train
    if plan.most_windows is not None and plan.most_windows < len(rows):
        rows = np.sort(np.random.default_rng(cell.seed).choice(rows, plan.most_windows, replace=False))
    train = windows.take(rows)
    kept = folder / "encoders"
    kept.mkdir(exist_ok=True)
    start = kept / f"cnn-0-seed{cell.seed}"
    options = {"preset": plan.schedule, "seed": cell.seed, "threads": threads, "guard": plan.guard}

    began = process_time()
    if not start.exists():
        plain = Censor("cnn", **options).fit(  # type: ignore[arg-type]
            train.x, train.label, subject=train.subject, progress=say, checkpoint=folder / "work" / start.name
        )
        _keep(plain.encoder_, start)
    encoder = CensoredEncoder.load(start)
    measure = _Measurement(windows, parts, train, plan, cell.seed, threads)
    if cell.method == "cnn":
        points = [{"round": 0, **measure.every_round(encoder, attack=True), **measure.in_full(encoder)}]
        warnings: tuple[str, ...] = ()
        controls = measure.controls(encoder)
    else:

        def after_round(number: int, encoder: CensoredEncoder) -> dict[str, float]:
            last = number == plan.schedule.rounds
            found = measure.every_round(
                encoder, attack=last or number in plan.full_rounds or number % plan.attack_every == 0
            )
            if last or number in plan.full_rounds:
                found |= measure.in_full(encoder)
                _keep(encoder, kept / f"{cell.name}-round{number}")
            return found

        censor = Censor(cell.method, strength=cell.strength, **options, **plan.options(cell.method))  # type: ignore[arg-type]
        censor.fit(
            train.x,
            train.label,
            subject=train.subject,
            start=encoder,
            on_round=after_round,
            progress=say,
            checkpoint=folder / "work" / cell.name,
            checkpoint_every=plan.checkpoint_every,
        )
        points = [
            {**{k: v for k, v in asdict(r).items() if k != "measures"}, **r.measures} for r in censor.curve_
        ]
        warnings, controls = censor.warnings_, {}
    return {
        "split": parts.kind,
        "known": [str(person) for person in parts.known],
        "unknown": [str(person) for person in parts.unknown],
        "training_windows": len(train),
        "points": points,
        "warnings": list(warnings),
        "controls": controls,
        # of this process: less than the whole where the cell was interrupted; the points have their own
        "cpu_seconds": round(process_time() - began, 1),
    }


def _keep(encoder: CensoredEncoder, target: Path) -> None:
    if not target.exists():  # there already where a round is done again after a kill
        encoder.save(target)


class _Measurement:
    """What is measured of an encoder: label F1 and fresh attackers, on all held-out windows and on both halves.

    Points of a figure are chosen on one half of the held-out trials ("select") and reported on the other ("report");
    the paper chooses and reports on the same windows, which flatters.
    """

    def __init__(
        self, windows: Windows, parts: PeopleSplit, train: Windows, plan: SweepPlan, seed: int, threads: int
    ) -> None:
        self.train, self.plan, self.seed, self.threads = train, plan, seed, threads
        self.known, self.strangers = windows.take(parts.test_known), windows.take(parts.test_unknown)
        self._last = process_time()

    def every_round(self, encoder: CensoredEncoder, *, attack: bool) -> dict[str, float]:
        """F1 of known people and strangers, and the rate of a quick fresh attacker; seconds since the last round."""
        from keshi.auditing.labels import macro_f1

        began = process_time()
        found = {"training_cpu_seconds": began - self._last}
        for name, part in (("f1_known", self.known), ("f1_unknown", self.strangers)):
            if len(part):
                label = encoder.predict(part.x)
                for suffix, rows in halves(part.trial).items():
                    found[name + suffix] = macro_f1(part.label[rows], label[rows])
        if attack:
            log_p, code = self._attack(encoder, rows=self.plan.attack_rows, epochs=self.plan.attack_epochs)
            for suffix, rows in halves(self.known.trial).items():
                found["attacker" + suffix] = float((log_p[rows].argmax(1) == code[rows]).mean())
        self._last = process_time()
        return {**found, "measuring_cpu_seconds": self._last - began}

    def in_full(self, encoder: CensoredEncoder) -> dict[str, float]:
        """The paper's attacker on all training rows, with interval, whole trials and bits."""
        from keshi.auditing.attackers import score

        log_p, code = self._attack(encoder, rows=None, epochs=self.plan.full_epochs)
        naming = score(log_p, code, trial=self.known.trial, seed=self.seed)
        self._last = process_time()
        return {f"full_{name}": value for name, value in asdict(naming).items()}

    def controls(self, encoder: CensoredEncoder) -> dict[str, float]:
        """What leaks with no features at all: guessing, the true label, the predicted one, softmax; and raw windows."""
        import numpy as np

        from keshi.auditing.attackers import score
        from keshi.auditing.identification import label_only_rate

        t, k = self.train, self.known
        found = {
            "majority": float((k.subject == np.unique(t.subject)[_most_frequent(t.subject)]).mean()),
            "true_label_only": label_only_rate(t.label, t.subject, k.label, k.subject),
            "predicted_label_only": label_only_rate(
                encoder.predict(t.x), t.subject, encoder.predict(k.x), k.subject
            ),
        }
        releases = {
            "softmax_only": (encoder.predict_proba(t.x), encoder.predict_proba(k.x)),
            "raw_window": (t.x, k.x),
        }
        for name, (train, test) in releases.items():
            log_p, code = self._name(train, t.subject, test, epochs=self.plan.full_epochs)
            naming = score(log_p, code, trial=k.trial, seed=self.seed)
            found |= {name: naming.accuracy, f"{name}_trial": naming.trial_accuracy}
        self._last = process_time()
        return found

    def _attack(self, encoder: CensoredEncoder, *, rows: int | None, epochs: int) -> tuple[Any, Any]:
        import numpy as np

        train = self.train
        if rows is not None and rows < len(train):
            train = train.take(np.random.default_rng(self.seed).choice(len(train), rows, replace=False))
        return self._name(
            encoder.transform(train.x), train.subject, encoder.transform(self.known.x), epochs=epochs
        )

    def _name(self, z_train: Any, subject: Any, z_test: Any, *, epochs: int) -> tuple[Any, Any]:
        """Log-probabilities of a fresh attacker on the held-out windows of known people, and who it was."""
        from keshi.auditing.attackers import naming_task, perceptron
        from keshi.censoring.training import use_threads

        task = naming_task(z_train, subject, z_test, self.known.subject)
        with use_threads(self.threads):
            # not a seed of the training, so that no first weights are shared
            log_p = perceptron(task, hidden=self.plan.attack_hidden, seed=self.seed + 1, max_epochs=epochs)
        return log_p, task.code_test


def halves(trial: Any) -> dict[str, Any]:
    """All rows, and the rows of every second recording, by suffix."""
    import numpy as np

    odd = np.unique(trial, return_inverse=True)[1] % 2 == 1
    return {"": np.ones(len(trial), dtype=bool), "_select": odd, "_report": ~odd}


def _most_frequent(values: Any) -> int:
    import numpy as np

    return int(np.bincount(np.unique(values, return_inverse=True)[1]).argmax())
