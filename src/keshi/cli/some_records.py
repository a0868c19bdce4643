"""Records of a file for a report, at most so many: its time and memory must not grow with the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from keshi.records.domain import Domain


def some_records(path: Path, domain: Domain, *, seed: int, most: int) -> tuple[pd.DataFrame, int]:
    """At most so many records of a file, each as likely as any other, in the order of the file; and how many it has.

    In memory of a batch and of three times those.
    """
    import numpy as np

    from keshi.records.files import BATCH_ROWS, read_batches

    randomness = np.random.default_rng(seed)
    kept: list[pd.DataFrame] = []
    lottery: list[np.ndarray] = []
    total, held, last = 0, 0, 1.0
    for batch in read_batches(path, domain, rows=min(most, BATCH_ROWS))():
        tickets = randomness.uniform(size=len(batch))
        total += len(batch)
        wins = tickets <= last  # who has lost already is not even held
        kept.append(batch.loc[wins, list(domain.columns)])
        lottery.append(tickets[wins])
        held += int(wins.sum())
        if held > 2 * most:
            kept, lottery, last = _winners(kept, lottery, most)
            held = len(lottery[0])
    kept, lottery, _ = _winners(kept, lottery, most)
    return kept[0], total


def _winners(
    kept: list[pd.DataFrame], lottery: list[np.ndarray], most: int
) -> tuple[list[pd.DataFrame], list[np.ndarray], float]:
    """One table of those with the lowest tickets, their tickets, and the highest of these."""
    import numpy as np
    import pandas as pd

    tickets = np.concatenate(lottery)
    first = np.sort(np.argsort(tickets, kind="stable")[:most])
    table = pd.concat(kept, ignore_index=True).iloc[first].reset_index(drop=True)
    return [table], [tickets[first]], float(tickets[first].max(initial=0.0))
