"""What each part of preset `keshi` brings, on the full Adult table: one row a variant, from the same command.

    KESHI_DATA=path/to/data python experiments/ablation.py --epsilon 1 --seeds 3
    python experiments/ablation.py --data adult.zip --quick          (one seed; the neural variants for 100 steps)

Prints one JSON line a run and a Markdown table of means with 95 % intervals over seeds (Student's t).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from keshi.auditing.fidelity import fidelity
from keshi.auditing.utility import train_on_synthetic_test_on_real
from keshi.datasets.adult import DOMAIN_FILE, Adult, load_adult
from keshi.records.domain import Domain
from keshi.synthesis.presets import PRESETS, KeshiPreset, Preset, with_generator, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer

KESHI = KeshiPreset()
VARIANTS: dict[str, Preset] = {
    "paper: dense frequencies, soft one-hot rows, critic": PRESETS["paper"],
    "dp-merf: the same without the critic": PRESETS["dp-merf"],
    "exact product, columns independent within a class": with_generator(KESHI, "classwise"),
    "+ pairs over all classes": replace(KESHI, resolution=replace(KESHI.resolution, rare_class=math.inf)),
    "+ pairs within each class": replace(KESHI, resolution=replace(KESHI.resolution, both_weight=0.0)),
    "keshi: both": KESHI,
    "keshi, a deep network makes the components": with_generator(KESHI, "network"),
    "keshi, fitted to the noise (twice the steps, no stop)": replace(
        KESHI, schedule=replace(KESHI.schedule, steps=600, stop_at=1e-6)
    ),
}
MEASURES = ("ROC-AUC", "1-way TVD", "2-way TVD", "2-way TVD, quantile bins", "CPU seconds")


def run(adult: Adult, preset: Preset, *, epsilon: float, seed: int) -> dict[str, float]:
    """Synthesize once and measure."""
    began = time.process_time()
    synthesizer = PearlSynthesizer(
        domain=Domain.read(DOMAIN_FILE), epsilon=epsilon, preset=preset, seed=seed, threads=1
    )
    synthetic = synthesizer.fit(adult.train).sample(len(adult.train))
    seconds = time.process_time() - began
    distances = fidelity(adult.train, synthetic, seed=seed)
    utility = train_on_synthetic_test_on_real(synthetic, adult.test, label="income", seed=seed)
    area = utility.mean_roc_auc
    values = (
        float("nan") if area is None else area,
        distances.equal_width.mean_one_way,
        distances.equal_width.mean_two_way,
        distances.quantile.mean_two_way,
        seconds,
    )
    return dict(zip(MEASURES, values, strict=True))


def summary(results: dict[str, list[dict[str, float]]]) -> str:
    """A Markdown table."""
    lines = ["| variant | " + " | ".join(MEASURES) + " |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, runs in results.items():
        cells = []
        for measure in MEASURES:
            values = np.array([one[measure] for one in runs])
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
            cells.append(f"{values.mean():.4g}" + (f" ± {half:.2g}" if np.isfinite(half) else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ["KESHI_DATA"]) / "adult" if "KESHI_DATA" in os.environ else None
    parser.add_argument("--data", type=Path, default=default, required=default is None)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--quick", action="store_true", help="one seed; the neural variants for 100 steps")
    chosen = parser.parse_args()
    adult = load_adult(chosen.data)
    results: dict[str, list[dict[str, float]]] = {}
    for name in chosen.variants:
        preset = VARIANTS[name]
        if chosen.quick and (preset.name != "keshi" or "network" in name):
            preset = with_steps(preset, 100)
        for seed in range(1 if chosen.quick else chosen.seeds):
            measured = run(adult, preset, epsilon=chosen.epsilon, seed=seed)
            results.setdefault(name, []).append(measured)
            print(json.dumps({"variant": name, "seed": seed, **measured}), flush=True)
    print(summary(results))


if __name__ == "__main__":
    main()
