"""Why pairs: does AFL's task grow with the number of people, while that of pairs (SCT) and of a kernel (HSIC) does not?

    KESHI_DATA=path/to/data python experiments/why_pairs.py -o pairs/            (about 30 CPU minutes; resumable)
    python experiments/why_pairs.py -o pairs/ --quick                            (seconds; made-up recordings)
    python experiments/why_pairs.py -o pairs/ --table                            (table and figure of what is there)

Iwasawa et al. (JSAI 2018) give this reason for pairs. Three worlds with as many windows whatever the number of people:
"simulated" and "real" people, and "strength", a measurement of 100 simulated people in place of their names. Every
method goes on from the same plain network for as many updates; "control" is the same without an adversary. Every line
of results.jsonl (of quick.jsonl with --quick) is one encoder under fresh attackers, or ("judges") what the two
discriminators learn from the control's features in the same number of steps. Strengths were chosen in the simulated
world of 10 people, with a seed that the results do not have.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pair_figures import chart, table
from pair_worlds import World, read_base, real_world, simulated_world
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

from keshi.auditing.attackers import Task, naming_task, nearest_neighbours, perceptron, score
from keshi.auditing.labels import macro_f1
from keshi.auditing.verification import rates
from keshi.censoring.attributes import codes_of
from keshi.censoring.censor import Censor
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.games import Game, PairGame, SubjectGame, TrainingSet
from keshi.censoring.optimizers import rmsprop
from keshi.censoring.pairs import PairSampler
from keshi.censoring.schedules import SCHEDULES
from keshi.censoring.training import train_adversary
from keshi.reports.sweep import standalone

SCHEDULE = replace(SCHEDULES["quick"], rounds=3, encoder_rate=3e-4)
STRENGTHS = {"control": 0.0, "afl-dnn": 1.0, "sct": 30.0, "hsic": 30.0}  # label F1 falls by about as much
WORLDS = (  # in the order in which they are run
    ("simulated", 3), ("simulated", 100), ("real", 3), ("real", 14), ("strength", 100),
    ("simulated", 10), ("simulated", 30), ("real", 6), ("real", 10),
)  # fmt: skip
ROWS = (9_000, 3_000)  # windows to learn from, and held out
ATTACK_EPOCHS = 4
PAIRS = 20_000
SCT_PAIRS = "conditional"  # of one label: of pairs of two labels Dsim learns nothing in so few steps
# The bounded forms of AFL and SCT: with the flipped ones of the paper AFL lost the label at any strength tried (0.2 to
# 1), and SCT the label without hiding anybody.
OPTIONS = {"afl-dnn": {"target": "prior"}, "sct": {"target": "prior", "pairs": SCT_PAIRS}}


def world_of(name: str, base: Any, people: int, *, rows: tuple[int, int], seed: int) -> World:
    if name == "real":
        return real_world(base, people, rows=rows, seed=seed)
    return simulated_world(base, people, rows=rows, seed=seed, measured=name == "strength")


def encoders(world: World, *, schedule: Any, seed: int) -> Callable[[str], Censor]:
    """A method's fit; all begin with one plain network, which is trained when it is first asked for."""
    start: list[CensoredEncoder] = []

    def fit(method: str) -> Censor:
        name = "afl-dnn" if method == "control" else method
        # no guard: it would end steps early, and the updates would not be equal
        # half as many pairs as windows: as many windows an update for all
        steps = replace(schedule, batch_size=schedule.batch_size // 2) if method == "sct" else schedule
        censor = Censor(
            name, strength=STRENGTHS[method], preset=steps, seed=seed, guard=False, **OPTIONS.get(name, {})
        )
        censor.fit(
            world.train.x, world.train.label, subject=world.secret_train, start=start[0] if start else None
        )
        start[:] = [censor.pretrained_]
        return censor

    return fit


def measured(encoder: CensoredEncoder, world: World, *, epochs: int, seed: int) -> dict[str, float]:
    """F1 and what fresh attackers learn of the secret (its groups, where it is a number) on held-out windows."""
    z_train, z_test = encoder.transform(world.train.x), encoder.transform(world.test.x)
    codes = codes_of(np.concatenate([world.secret_train, world.secret_test]))
    task = naming_task(z_train, codes[: len(z_train)], z_test, codes[len(z_train) :])
    log_p = perceptron(task, seed=seed + 1, max_epochs=epochs)
    naming = score(log_p, task.code_test, trial=world.test.trial, seed=seed)
    nearest = float((nearest_neighbours(task, count=5).argmax(axis=1) == task.code_test).mean())
    majority = float((task.code_test == np.bincount(task.code_train).argmax()).mean())
    worst = max(naming.accuracy, nearest)
    found = {
        "f1": macro_f1(world.test.label, encoder.predict(world.test.x)),
        "worst": worst,
        "majority": majority,
        "advantage": (worst - majority) / (1 - majority),
        "800-200": naming.accuracy,
        "lower": naming.lower,
        "upper": naming.upper,
        "5 nearest": nearest,
        "bits": naming.bits,
        "pair_auc": pair_auc(lambda first, second: _same(log_p, task, first, second), world, task, seed),
    }
    if world.strangers is not None:
        found |= regression(encoder, world, z_train, z_test)
    return found


def _same(
    log_p: NDArray[Any], task: Task, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Odds that two windows have one secret, from probabilities of every secret: sum of p(s|1) p(s|2) / p(s)."""
    prior = np.bincount(task.code_train, minlength=task.classes) / len(task.code_train)
    p = np.exp(log_p)
    return (p[first] * p[second] / np.maximum(prior, 1e-9)).sum(axis=1)


def pair_auc(
    scores: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[Any]],
    world: World,
    task: Task,
    seed: int,
) -> float:
    """How often a pair of one secret scores above one of two; held-out windows of one label, from two recordings."""
    pairs = PairSampler(world.test.label, task.code_test, mode="conditional").draw(
        PAIRS, np.random.default_rng(seed)
    )
    kept = world.test.trial[pairs.first] != world.test.trial[pairs.second]
    first, second = pairs.first[kept], pairs.second[kept]
    return rates(scores(first, second), pairs.same_subject[kept], people=task.classes).auc


def regression(
    encoder: CensoredEncoder, world: World, z_train: NDArray[Any], z_test: NDArray[Any]
) -> dict[str, float]:
    """Share of the secret number's variance that a fresh regression explains, the better of two; at least 0."""
    assert world.strangers is not None
    others, theirs = world.strangers
    mean, deviation = z_train.mean(axis=0), z_train.std(axis=0) + 1e-6
    models = [RidgeCV(np.logspace(0, 5, 6)), KNeighborsRegressor(15)]
    for model in models:
        model.fit((z_train - mean) / deviation, np.log(world.secret_train))
    parts = {"r2_known": (z_test, world.secret_test), "r2_strangers": (encoder.transform(others.x), theirs)}
    return {
        name: max(0.0, *(float(one.score((z - mean) / deviation, np.log(secret))) for one in models))
        for name, (z, secret) in parts.items()
    }


def judges(encoder: CensoredEncoder, world: World, *, schedule: Any, seed: int) -> dict[str, float]:
    """How well D, read by Bayes, and Dsim tell pairs apart after as many steps on the same features; and a cosine."""
    z_train, z_test = (torch.from_numpy(encoder.transform(part.x)) for part in (world.train, world.test))
    task = naming_task(z_train.numpy(), world.secret_train, z_test.numpy(), world.secret_test)
    label = torch.from_numpy(np.unique(world.train.label, return_inverse=True)[1])
    data = TrainingSet(torch.from_numpy(world.train.x), label, torch.from_numpy(task.code_train))
    made: dict[str, Game] = {}
    for name, make in (("D", SubjectGame), ("Dsim", partial(PairGame, pairs=SCT_PAIRS))):
        game = make(data, z_train.shape[1], generator=torch.Generator().manual_seed(seed))
        train_adversary(
            game,
            z_train,
            rmsprop(game.adversary.parameters(), schedule.adversary_rate),
            iterations=schedule.rounds * schedule.iterations,
            batch_size=schedule.batch_size,
            rng=np.random.default_rng(seed),
        )
        made[name] = game
    with torch.no_grad():
        log_p = torch.log_softmax(made["D"].adversary(z_test), dim=1).numpy().astype(np.float64)
    unit = z_test / z_test.norm(dim=1, keepdim=True).clamp_min(1e-12)

    def asked(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[Any]:
        with torch.no_grad():
            return made["Dsim"].adversary(z_test[first], z_test[second]).numpy()

    found = {
        "judge_D": lambda first, second: _same(log_p, task, first, second),
        "judge_Dsim": asked,
        "judge_cosine": lambda first, second: (unit[first] * unit[second]).sum(dim=1).numpy(),
    }
    return {name: pair_auc(scores, world, task, seed) for name, scores in found.items()}


def cells(
    data: Path | None, done: set[tuple[Any, ...]], *, seeds: Sequence[int], quick: bool
) -> Iterator[dict[str, Any]]:
    """Every encoder that is not done yet, measured."""
    base = read_base(data)
    schedule, rows, epochs = SCHEDULE, ROWS, ATTACK_EPOCHS
    if quick:
        schedule = replace(SCHEDULE, pretrain_epochs=1, rounds=1, iterations=10, batch_size=50)
        rows, epochs = (600, 300), 1
    plans = [
        (world, people, seed)
        for seed in seeds
        for world, people in WORLDS
        if not quick or (world, people) in (("simulated", 3), ("strength", 100))
    ]
    for name, people, seed in plans:
        wanted = [m for m in (*STRENGTHS, "judges") if (name, people, m, seed) not in done]
        if name == "strength":
            wanted = [m for m in wanted if m != "judges"]
        if not wanted:
            continue
        world = world_of(name, base, people, rows=rows, seed=seed)
        fit = encoders(world, schedule=schedule, seed=seed)
        control: list[Censor] = []
        for method in wanted:
            began = process_time()
            line = {"world": name, "people": people, "method": method, "seed": seed}
            if method in ("control", "judges"):
                control = control or [fit("control")]
                encoder = control[0].encoder_
            else:
                censor = fit(method)
                encoder = censor.encoder_
                line["edge"] = max(1 - one.adversary_loss / one.adversary_uninformed for one in censor.curve_)
            if method == "judges":
                line |= judges(encoder, world, schedule=schedule, seed=seed)
            else:
                line |= measured(encoder, world, epochs=epochs, seed=seed)
            line |= {"strength": STRENGTHS.get(method), "cpu_seconds": round(process_time() - began, 1)}
            line["settings"] = {"rows": rows, "attack_epochs": epochs, **asdict(schedule)}
            yield line


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--quick", action="store_true", help="made-up recordings, a few steps; no conclusions"
    )
    parser.add_argument("--table", action="store_true", help="table and figure only; train nothing")
    chosen = parser.parse_args()
    if chosen.data is None and not (chosen.quick or chosen.table):
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    torch.set_num_threads(1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    file = chosen.output / ("quick.jsonl" if chosen.quick else "results.jsonl")
    results = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if not chosen.table:
        done = {(one["world"], one["people"], one["method"], one["seed"]) for one in results}
        data = None if chosen.quick else chosen.data
        with file.open("a") as lines:
            for line in cells(data, done, seeds=chosen.seeds, quick=chosen.quick):
                results.append(line)
                print(json.dumps(line), file=lines, flush=True)
                print({k: v for k, v in line.items() if k != "settings"}, file=sys.stderr, flush=True)
    if not results:
        raise SystemExit(f"{file} has no line yet; run without --table first.")
    (chosen.output / "table.md").write_text("\n".join(table(results)) + "\n")
    (chosen.output / "why_pairs.svg").write_text(standalone(chart(results)), encoding="utf-8")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
