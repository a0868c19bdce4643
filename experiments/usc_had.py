"""The experiment of Iwasawa et al. (JSAI 2018) on USC-HAD: five methods, seven strengths, thirty rounds.


    KESHI_DATA=path/to/data python experiments/usc_had.py -o sweep/ --jobs 2         (hours; kill it and start it again)
    python experiments/usc_had.py --data USC-HAD.zip -o sweep/ --quick               (about 20 minutes)
    python experiments/usc_had.py -o sweep/ --figures docs/figures                   (draw what is there, train nothing)
    python experiments/usc_had.py -o sweep/ --also other/ --figures docs/figures     (with the cells of another machine)

Every (method, strength, seed) is one line of sweep/results.jsonl. Strength 0 is the control: the same further training
without an adversary. As many training samples as in the paper, in batches of 400 by the square-root rule (--batch 100
for the paper's), a fresh attacker after every fifth round. One seed for all strengths, `--further-seeds` at strength 1,
its control and the plain network.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from keshi.censoring.methods import method_name
from keshi.censoring.training import SCHEDULES
from keshi.cli.censor_sweep import METHODS, STRENGTHS, SweepPlan, read_results, run_sweep, sweep_cells
from keshi.records.recordings import read_recordings
from keshi.records.windows import WINDOW_PRESETS, segment_preset

QUICK = {"strengths": (0.2, 1.0, 2.5), "rounds": 5, "iterations": 200, "most_windows": 30_000}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("KESHI_DATA")
    default = Path(folder) / "usc-had" / "uschad_all.npz" if folder else None
    parser.add_argument("--data", type=Path, default=default, help="USC-HAD folder, zip or npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of results and checkpoints")
    parser.add_argument("--split", default="random", help="random (the paper's), blocked or trials")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--strengths", default=",".join(f"{s:g}" for s in STRENGTHS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--further-seeds", default="", help="such as 1,2")
    parser.add_argument("--partners", default="batch", help="batch (each window encoded once) or drawn")
    parser.add_argument("--batch", type=int, default=400, help="by the square-root rule; 100 is the paper's")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time; the same points")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], help="folder of the same sweep on another machine"
    )
    parser.add_argument("--rounds", type=int, default=SCHEDULES["paper"].rounds)
    parser.add_argument(
        "--quick", action="store_true", help="few strengths, rounds and windows; no conclusions"
    )
    parser.add_argument(
        "--figures", type=Path, help="write figures and table of the results here; train nothing"
    )
    chosen = parser.parse_args()
    if chosen.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {chosen.jobs}")
    strengths = tuple(float(text) for text in chosen.strengths.split(","))
    if chosen.quick:
        strengths = QUICK["strengths"]  # type: ignore[assignment]
    if chosen.figures:
        from keshi.reports.sweep import write_sweep_report

        results = read_results(chosen.output, *chosen.also)
        for file in write_sweep_report(results, chosen.figures, planned=strengths):
            print(file)
        return
    if chosen.data is None:
        parser.error("name the data set with --data, or set KESHI_DATA")
    windows = segment_preset(
        read_recordings(chosen.data, label="activity", subject="subject"), "uschad-paper"
    )
    plan = SweepPlan(
        replace(SCHEDULES["paper"], rounds=chosen.rounds).in_batches_of(chosen.batch),
        split=chosen.split,
        unknown=WINDOW_PRESETS["uschad-paper"].unknown,
        partners=chosen.partners,
        attack_every=5,
    )
    if chosen.quick:
        schedule = replace(SCHEDULES["quick"], rounds=QUICK["rounds"], iterations=QUICK["iterations"])  # type: ignore[arg-type]
        plan = replace(
            plan, schedule=schedule, attack_every=1, most_windows=QUICK["most_windows"], full_epochs=6
        )  # type: ignore[arg-type]
    cells = sweep_cells(
        methods=[method_name(name) for name in chosen.methods.split(",")],
        strengths=strengths,
        seeds=(chosen.seed,),
        further_seeds=[int(text) for text in chosen.further_seeds.split(",") if text],
    )
    run_sweep(
        windows,
        chosen.output,
        cells,
        plan,
        also=chosen.also,
        jobs=chosen.jobs,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
