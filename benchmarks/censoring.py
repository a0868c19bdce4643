"""CPU seconds of the paper's training for every 200,000 samples, piece by piece, against the literal form.

    python benchmarks/censoring.py                    (two CPU minutes, one thread; batches of 400, as in the sweep)
    python benchmarks/censoring.py --batch 100        (the paper's batches for our form too)

Both forms run in turns in one process and the fastest of several turns counts, so other work on the machine changes the
ratios little. The literal form is the usual way to write the same equations: one-dimensional convolutions, torch's own
dropout and RMSprop, batches of 100, features computed again for every batch of step 1, both members of every pair
encoded. Ours takes as many samples in larger batches, see Schedule.in_batches_of. Windows are
random numbers: cost does not depend on them. Prints one JSON line a piece and what the whole sweep would cost.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from keshi.censoring.encoders import ConvEncoder, LabelHead, encode_in_batches
from keshi.censoring.games import Game, TrainingSet
from keshi.censoring.methods import GAMES
from keshi.censoring.optimizers import rmsprop
from keshi.censoring.training import train_adversary, train_encoder

BATCH, SAMPLES, RATE = 100, 200_000, 2.5e-5  # of the paper
WINDOWS, TURNS, BURST = 20_000, 6, 15  # data, turns of each form, iterations a turn
ROUNDS, STRENGTHS, CONTROLS = 30, 7, 3
METHODS = ("afl-mlp", "afl-dnn", "sct", "lsm")


class LiteralEncoder(nn.Module):
    """The same network as ConvEncoder, as one would write it first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(6, 50, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(0.2),
            nn.Conv1d(50, 40, 5), nn.ReLU(), nn.MaxPool1d(3), nn.Dropout(0.2),
            nn.Conv1d(40, 20, 3), nn.ReLU(), nn.Dropout(0.2),
            nn.Flatten(), nn.Linear(20, 400), nn.ReLU(), nn.Dropout(0.2),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@dataclass
class Form:
    """One way to run both steps of a method: how the encoder, the optimisers and the features of step 1 are made."""

    game: Game
    encoder: nn.Module
    head: nn.Module
    literal: bool
    batch: int

    def __post_init__(self) -> None:
        make = torch.optim.RMSprop if self.literal else rmsprop
        self.adversary_optimizer = make(self.game.adversary.parameters(), RATE)
        self.encoder_optimizer = make([*self.encoder.parameters(), *self.head.parameters()], RATE)
        self.rng = np.random.default_rng(0)
        self.z = encode_in_batches(self.encoder, self.game.data.x)  # type: ignore[attr-defined]

    def step1(self) -> None:
        if not self.literal:
            self._step1()
            return
        for _ in range(BURST):  # the frozen encoder runs on every batch of windows
            members = 1 if hasattr(self.game, "prior") else 2
            rows = torch.from_numpy(self.rng.integers(WINDOWS, size=members * self.batch))
            with torch.no_grad():
                self.encoder(self.game.data.x[rows])  # type: ignore[attr-defined]
            self._step1(iterations=1)

    def _step1(self, iterations: int = BURST) -> None:
        train_adversary(
            self.game,
            self.z,
            self.adversary_optimizer,
            iterations=iterations,
            batch_size=self.batch,
            rng=self.rng,
        )

    def step2(self, strength: float = 1.0) -> None:
        train_encoder(
            self.game, self.encoder, self.head, self.encoder_optimizer,
            strength=strength, iterations=BURST, batch_size=self.batch, rng=self.rng,
        )  # fmt: skip

    def control(self) -> None:
        self.step2(0.0)


def forms(method: str, batch: int) -> dict[str, Form]:
    generator = torch.Generator().manual_seed(0)
    data = TrainingSet(
        torch.randn(WINDOWS, 6, 30, generator=generator),
        torch.randint(12, (WINDOWS,), generator=generator),
        torch.randint(10, (WINDOWS,), generator=generator),
    )
    found = {}
    for name in ("literal", "ours"):
        options = {"partners": "batch"} if name == "ours" and method in ("sct", "lsm") else {}
        make = GAMES[method]
        assert make is not None
        game = make(data, 400, generator=generator, **options)
        encoder = LiteralEncoder() if name == "literal" else ConvEncoder(6, 30, generator=generator)
        literal = name == "literal"
        head = LabelHead(400, 12, generator=generator)
        found[name] = Form(game, encoder, head, literal, BATCH if literal else batch)
    return found


def seconds(both: dict[str, Form], piece: str, turns: int) -> dict[str, float]:
    """CPU seconds of a piece for 200,000 samples: the fastest of several turns, the forms taking turns."""
    best = dict.fromkeys(both, float("inf"))
    for _ in range(turns):
        for name, form in both.items():
            began = time.process_time()
            getattr(form, piece)()
            best[name] = min(best[name], time.process_time() - began)
    return {name: value / BURST * (SAMPLES / both[name].batch) for name, value in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--batch", type=int, default=400, help="of our form")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    hours = {"literal": 0.0, "ours": 0.0}
    for method in METHODS:
        both = forms(method, chosen.batch)
        for piece in ("step1", "step2", "control"):
            cost = seconds(both, piece, chosen.turns)
            ratio = cost["ours"] / cost["literal"]
            line = {"method": method, "piece": piece, **{k: round(v, 1) for k, v in cost.items()}}
            print(json.dumps({**line, "ratio": round(ratio, 2)}), flush=True)
            trainings = STRENGTHS if piece != "control" else CONTROLS / len(METHODS)
            for name, value in cost.items():
                hours[name] += value * ROUNDS * trainings / 3600
    print(json.dumps({"piece": "training of the sweep, hours", **{k: round(v, 2) for k, v in hours.items()},
                      "ratio": round(hours["ours"] / hours["literal"], 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
