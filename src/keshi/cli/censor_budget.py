"""keshi censor --max-leak: the most useful encoder under a leakage budget, or a refusal that shows what there is.

Strengths and rounds are chosen on one half of the held-out recordings, by the worst of several fresh attackers, and
reported on the other half. Lives here because only the command line knows both censoring and auditing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keshi.cli.censor_sweep import Cell, SweepPlan, run_sweep, sweep_cells
from keshi.cli.sweep_measures import halves

if TYPE_CHECKING:
    from keshi.auditing.attackers import Naming
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.training import Schedule
    from keshi.records.windows import Windows

PATH = (0.2, 0.5, 1.0, 2.5, 5.0)  # strengths
LOUDER = (
    2.0,
    4.0,
)  # times the preset's noise, tried where no strength keeps the budget; 0 and strength 1 only
KEPT_ROUNDS = 3  # of every strength, evenly spread
SUITE = ("linear", "800-200", "5 nearest")


@dataclass(frozen=True, eq=False)
class Choice:
    """The point that was chosen (None: nothing keeps the budget), its encoder and attackers, and all lines to print."""

    chosen: dict[str, Any] | None
    encoder: CensoredEncoder | None
    attackers: dict[str, Naming]
    points: list[dict[str, Any]]
    lines: list[str]

    def audit(self) -> dict[str, Any]:
        """Every exact figure, for the owner of the data only; what is NaN is left out.

        One is NaN where there was nothing to measure: the only recording of a stranger is in one half.
        """

        def known(figures: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in figures.items() if value == value}

        return {
            "chosen": None if self.chosen is None else known(self.chosen),
            "attackers": {name: known(asdict(one)) for name, one in self.attackers.items()},
            "points": [known(point) for point in self.points],
        }


def strength_under_budget(
    windows: Windows,
    folder: Path,
    *,
    max_leak: float,
    method: str | None = None,
    schedule: str | Schedule = "robust",
    rounds: int | None = None,
    strengths: Sequence[float] = PATH,
    louder: Sequence[float] = LOUDER,
    seed: int = 0,
    unknown: tuple | None = None,
    split: str = "blocked",
    most_windows: int | None = None,
    guard: bool = True,
    threads: int = 1,
    hidden: tuple[int, ...] = (800, 200),
    attack_epochs: int = 20,
    progress: Callable[[str], None] | None = None,
) -> Choice:
    """Train along a path of strengths and choose the point of highest label F1 whose worst attacker keeps `max_leak`.

    Args:
        folder: of the sweep, to continue after an interruption; kept.
        louder: multiples of the schedule's noise, tried in this order while no point keeps the budget: each is another
            training of the network at strength 0 and 1. Only where the schedule has noise.
        max_leak: the share of windows that the worst attacker may name, above what guessing reaches.
        hidden, attack_epochs: of the networks among the attackers.
    """
    from keshi._validate import in_range
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.methods import method_name
    from keshi.censoring.training import SCHEDULES, Schedule
    from keshi.errors import DomainError

    in_range("max-leak (--max-leak)", max_leak, 0.0, 1.0, open_ends=True)
    steps = schedule if isinstance(schedule, Schedule) else SCHEDULES[schedule]
    method = steps.method if method is None else method_name(method)
    if method == "cnn":
        raise DomainError("--max-leak follows a path of strengths, which method cnn does not have.")
    steps = steps if rounds is None else replace(steps, rounds=rounds)
    last = steps.rounds
    kept = tuple(sorted({max(1, round(last * part / KEPT_ROUNDS)) for part in range(1, KEPT_ROUNDS + 1)}))
    points: list[dict[str, Any]] = []
    controls: dict[str, float] = {}
    for times in (1.0, *(louder if steps.noise > 0 else ())):
        noise = times * steps.noise
        plan = SweepPlan(
            replace(steps, noise=noise),
            split=split,
            unknown=unknown,
            guard=guard,
            attack_hidden=hidden,
            full_rounds=kept,
            full_epochs=attack_epochs,
            most_windows=most_windows,
        )
        first = times == 1.0
        if not first and progress is not None:
            progress(f"no point keeps the budget; trying noise {noise:g}")
        cells = sweep_cells(methods=("cnn", method), strengths=strengths if first else (1.0,), seeds=(seed,))
        place = folder if first else folder / f"noise-{noise:g}"
        found_there = run_sweep(windows, place, cells, plan, threads=threads, progress=progress)
        # The folder may hold cells of an earlier search. Another seed has another split: windows held out here were
        # trained on there.
        wanted = {cell.name for cell in cells}
        results = [line for line in found_there if Cell(**line["cell"]).name in wanted]
        here = [
            {
                **line["cell"],
                "noise": noise,
                "round": int(p["round"]),
                **{k: v for k, v in p.items() if k[:2] == "f1" or k[:6] == "attack"},
            }
            for line in results
            for p in line["points"]
            if "full_accuracy" in p
        ]
        points += here
        # what leaks without features is said of the network with the preset's own noise
        controls = controls or next(line["controls"] for line in results if line["controls"])
        if max_leak < controls["majority"]:
            reason = (
                f"naming the most frequent person reaches {controls['majority']:.3f} without any features"
            )
            return Choice(None, None, {}, points, _lines(points, None, {}, controls, max_leak, reason))
        audit = _Audit(windows, plan, seed, hidden)
        for point in sorted(here, key=lambda p: -p["f1_known_select"]):
            if point["attacker_select"] > max_leak:
                continue
            encoder = CensoredEncoder.load(place / "encoders" / _name(point))
            if max(one.accuracy for one in audit(encoder, "_select").values()) <= max_leak:
                found = audit(encoder, "_report")
                lines = _lines(points, point, found, controls, max_leak)
                return Choice(point, encoder, found, points, lines)
    return Choice(None, None, {}, points, _lines(points, None, {}, controls, max_leak, "no point keeps it"))


def write_choice(choice: Choice, output: Path, *, overwrite: bool, onnx: bool) -> None:
    """Write release/ (the chosen encoder) and private/ (audit.json with the whole curve), all or nothing."""
    from keshi.artifacts import store

    assert choice.encoder is not None
    files = {}
    if onnx:
        from keshi.censoring.export import onnx_bytes

        files["encoder.onnx"] = onnx_bytes(choice.encoder)
    with store.new_folder(output, verb="censor", overwrite=overwrite) as folder:
        (folder / "private").mkdir()
        choice.encoder.save(folder / "release", files=files)
        store.write_atomically(folder / "private" / "audit.json", store.json_to_bytes(choice.audit()))


class _Audit:
    """The suite of fresh attackers on one half of the held-out recordings."""

    def __init__(self, windows: Windows, plan: SweepPlan, seed: int, hidden: tuple[int, ...]) -> None:
        from functools import partial

        from keshi.auditing.attackers import ATTACKERS, perceptron
        from keshi.censoring.splits import split_people, training_rows

        parts = split_people(
            windows, unknown=plan.unknown, held_out=plan.held_out, kind=plan.split, seed=seed
        )
        rows = training_rows(windows, parts.train, most=plan.most_windows, seed=seed)
        self.train, self.known, self.seed = windows.take(rows), windows.take(parts.test_known), seed
        self.suite = {name: ATTACKERS[name] for name in SUITE}
        for name, widths in (("linear", ()), ("800-200", hidden)):
            self.suite[name] = partial(perceptron, hidden=widths, max_epochs=plan.full_epochs)

    def __call__(self, encoder: CensoredEncoder, half: str) -> dict[str, Naming]:
        from keshi.auditing.attackers import attack_all, naming_task, noise_aware, score

        part = self.known.take(halves(self.known)[half])
        z_train, z_test = encoder.transform(self.train.x), encoder.transform(part.x)
        task = naming_task(z_train, self.train.subject, z_test, part.subject)
        found = attack_all(task, trial=part.trial, attackers=self.suite, seed=self.seed + 1)
        if encoder.noise > 0:  # whoever holds the released encoder knows its noise
            clean = encoder.without_noise(self.train.x)
            log_p = noise_aware(
                task, clean_train=clean, noisy_test=z_test, noise=encoder.noise, seed=self.seed + 1
            )
            found["noise aware"] = score(log_p, task.code_test, trial=part.trial, seed=self.seed)
        return found


def _name(point: dict[str, Any]) -> str:
    name = f"{point['method']}-{point['strength']:g}-seed{point['seed']}"
    return name if point["method"] == "cnn" else f"{name}-round{point['round']}"


def _lines(
    points: list[dict[str, Any]],
    chosen: dict[str, Any] | None,
    found: dict[str, Naming],
    controls: dict[str, float],
    max_leak: float,
    reason: str = "",
) -> list[str]:
    lines = [
        f"{'method':<10}{'noise':>7}{'strength':>10}{'round':>7}{'F1 known':>10}{'attacker':>10}   (half to choose on)"
    ]
    for p in sorted(points, key=lambda p: (p["noise"], p["strength"], p["round"])):
        mark = "  <- chosen" if p is chosen else ""
        lines.append(
            f"{p['method']:<10}{p['noise']:>7g}{p['strength']:>10g}{p['round']:>7}{p['f1_known_select']:>10.3f}"
            f"{p['attacker_select']:>10.3f}{mark}"
        )
    softmax, predicted = controls["softmax_only"], controls["predicted_label_only"]
    if chosen is None:
        lines.append(f"refused: at most {max_leak:g} was asked for, and {reason}.")
    else:
        worst = max(found, key=lambda name: found[name].accuracy)
        one = found[worst]
        lines += [
            f"on the other half: label F1 {chosen['f1_known_report']:.3f}; the worst attacker ({worst}) names "
            f"{one.accuracy:.3f} [{one.lower:.3f}, {one.upper:.3f}] of windows, {one.trial_accuracy:.3f} of recordings",
            "No worst-case guarantee: a stronger attacker may learn more.",
        ]
        if one.accuracy > max_leak:
            lines.append(
                f"That is above the {max_leak:g} asked for, which was kept on the half to choose on: to be on the safe "
                "side, ask for less and run it again (nothing is trained anew)."
            )
    lines.append(
        f"Without features: guessing {controls['majority']:.3f}, predicted label only {predicted:.3f}, its "
        f"probabilities only {softmax:.3f} (one network's attack), true label only {controls['true_label_only']:.3f}."
    )
    leak = max_leak if chosen is None else max(one.accuracy for one in found.values())
    for name, share in (("predicted probabilities", softmax), ("predicted label", predicted)):
        if share <= leak:
            lines.append(
                f"If all that is wanted is the label, release the {name} instead: {share:.3f} of the windows' people "
                f"are named from it, {leak:.3f} from {'the features' if chosen else 'what was asked for'}."
            )
            break
    return lines
