"""SCT and AFL-DNN at strength 1.0 on USC-HAD, a few rounds of the paper's 30: before, after and the control.

    KESHI_DATA=path/to/data python experiments/usc_had_short.py
    python experiments/usc_had_short.py --data USC-HAD.zip --quick         (one round on 6,000 windows)

Prints one JSON line a run. One seed; the intervals of the attacker are over trials. About 20 CPU minutes a method.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from keshi.cli.censor_run import run_censoring
from keshi.records.recordings import read_recordings
from keshi.records.windows import WINDOW_PRESETS, segment_preset


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("KESHI_DATA")
    default = Path(folder) / "usc-had" / "uschad_all.npz" if folder else None
    parser.add_argument("--data", type=Path, default=default, required=default is None)
    parser.add_argument("--methods", default="sct,afl-dnn")
    parser.add_argument("--split", default="random", help="random (the paper's) or blocked")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one round on 6,000 windows")
    chosen = parser.parse_args()
    windows = segment_preset(
        read_recordings(chosen.data, label="activity", subject="subject"), "uschad-paper"
    )
    for method in chosen.methods.split(","):
        result = run_censoring(
            windows,
            method=method,
            strength=1.0,
            preset="quick" if chosen.quick else "paper",
            rounds=1 if chosen.quick else chosen.rounds,
            seed=chosen.seed,
            unknown=WINDOW_PRESETS["uschad-paper"].unknown,
            split=chosen.split,
            most_windows=6_000 if chosen.quick else None,
            attack_epochs=12,
        )
        print(json.dumps({"method": method, "split": chosen.split, **result.audit()}), flush=True)


if __name__ == "__main__":
    main()
