"""What a sweep measures of an encoder: label F1 and fresh attackers, and what leaks with no features at all."""

from __future__ import annotations

from dataclasses import asdict
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import PeopleSplit
    from keshi.cli.censor_sweep import SweepPlan
    from keshi.records.windows import Windows


class Measurement:
    """Label F1 and fresh attackers, on all held-out windows and on both halves.

    Points of a figure are chosen on one half of the held-out trials ("select") and reported on the other ("report");
    the paper chooses and reports on the same windows, which flatters.
    """

    def __init__(
        self, windows: Windows, parts: PeopleSplit, train: Windows, plan: SweepPlan, seed: int
    ) -> None:
        self.train, self.plan, self.seed = train, plan, seed
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
                for suffix, rows in halves(part).items():
                    found[name + suffix] = macro_f1(part.label[rows], label[rows])
        if attack:
            log_p, code = self._attack(encoder, rows=self.plan.attack_rows, epochs=self.plan.attack_epochs)
            for suffix, rows in halves(self.known).items():
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

        task = naming_task(z_train, subject, z_test, self.known.subject)
        # not a seed of the training, so that no first weights are shared
        log_p = perceptron(task, hidden=self.plan.attack_hidden, seed=self.seed + 1, max_epochs=epochs)
        return log_p, task.code_test


def halves(windows: Windows) -> dict[str, Any]:
    """All rows, and the rows of every second recording, by suffix.

    Where recordings come in a rhythm, as two activities in turn, every second one is always of the same label: each
    half would have labels, or people, of its own. Then every second recording of each label is taken.
    """
    import numpy as np

    trials, first, place = np.unique(windows.trial, return_index=True, return_inverse=True)
    label, subject = windows.label[first], windows.subject[first]
    odd = np.arange(len(trials)) % 2 == 1
    if _one_sided(label, odd) or _one_sided(subject, odd):
        for number, one in enumerate(np.unique(label)):
            own = np.flatnonzero(label == one)
            # labels begin in turn, so that people with one recording of each are in both halves
            odd[own] = (np.arange(len(own)) + number) % 2 == 1
    odd = odd[place]
    return {"": np.ones(len(odd), dtype=bool), "_select": odd, "_report": ~odd}


def _one_sided(values: Any, odd: Any) -> bool:
    """Whether a value that occurs twice or more is in one half only."""
    import numpy as np

    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    on_odd = np.bincount(code, weights=odd)
    return bool(((counts > 1) & ((on_odd == 0) | (on_odd == counts))).any())


def _most_frequent(values: Any) -> int:
    import numpy as np

    return int(np.bincount(np.unique(values, return_inverse=True)[1]).argmax())
