"""PEARL (preset paper) on the full Adult table: utility and fidelity beside real data and independent columns.

    KESHI_DATA=path/to/data python experiments/adult.py --epsilon 1 --seeds 3
    python experiments/adult.py --data adult.zip --quick          (one seed, 200 steps)

Prints one JSON line a seed and a Markdown table of means with 95 % intervals over seeds (Student's t).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from keshi.auditing.table_audit import TableAudit, audit_table
from keshi.datasets.adult import DOMAIN_FILE, load_adult
from keshi.records.column_kinds import Categorical
from keshi.records.domain import Domain
from keshi.synthesis.presets import PRESETS, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer


def figures(audit: TableAudit) -> dict[str, dict[str, float | None]]:
    """The measures of each of the three tables."""
    rows = {
        "keshi paper": (audit.fidelity, audit.utility),
        "independent columns": (audit.independent, audit.floor),
        "real": (audit.holdout, audit.ceiling),
    }
    found: dict[str, dict[str, float | None]] = {}
    for name, (fidelity, utility) in rows.items():
        assert fidelity is not None
        assert utility is not None
        found[name] = {
            "ROC-AUC": utility.mean_roc_auc,
            "AP": utility.mean_average_precision,
            "1-way TVD": fidelity.equal_width.mean_one_way,
            "2-way TVD": fidelity.equal_width.mean_two_way,
            "2-way TVD, quantile bins": fidelity.quantile.mean_two_way,
            "3-way query error": fidelity.range_query_error,
        }
    return found


def run(data: Path, *, epsilon: float, steps: int | None, seed: int, threads: int) -> dict[str, Any]:
    """Synthesize and audit once."""
    adult = load_adult(data)
    domain = Domain.read(DOMAIN_FILE)
    began = time.process_time()
    synthesizer = PearlSynthesizer(
        domain=domain,
        epsilon=epsilon,
        preset=with_steps(PRESETS["paper"], steps),
        relation="replace-one",  # as in the paper
        seed=seed,
        threads=threads,
    ).fit(adult.train)
    synthetic = synthesizer.sample(len(adult.train))
    seconds = time.process_time() - began
    categorical = [name for name, column in domain.columns.items() if isinstance(column, Categorical)]
    audit = audit_table(
        synthetic, adult.train, holdout=adult.test, label=domain.label, categorical=categorical, seed=seed
    )
    curve = synthesizer.generator_.learning_curve
    return {
        "seed": seed,
        "statement": synthesizer.statement.sentence,
        "steps": curve[-1].step,
        "effective size of the critic's weights": round(curve[-1].effective_size, 1),
        "CPU seconds": round(seconds, 1),
        "figures": figures(audit),
    }


def summary(results: list[dict[str, Any]]) -> str:
    """Markdown: mean and half-width of the 95 % interval over seeds."""
    measures = list(results[0]["figures"]["real"])
    lines = ["| table | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    for table in results[0]["figures"]:
        cells = []
        for measure in measures:
            values = np.array([result["figures"][table][measure] for result in results], dtype=float)
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
            cells.append(f"{values.mean():.4f}" + (f" ± {half:.4f}" if np.isfinite(half) else ""))
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ["KESHI_DATA"]) / "adult" if "KESHI_DATA" in os.environ else None
    parser.add_argument("--data", type=Path, default=default, required=default is None)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="default: the preset's 8,000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one seed, 200 steps")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.steps = 1, 200
    results = []
    for seed in range(chosen.seeds):
        results.append(
            run(chosen.data, epsilon=chosen.epsilon, steps=chosen.steps, seed=seed, threads=chosen.threads)
        )
        print(json.dumps(results[-1]), flush=True)
    print(summary(results))


if __name__ == "__main__":
    main()
