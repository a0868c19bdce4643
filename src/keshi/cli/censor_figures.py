"""What one encoder keeps and gives away: the label's F1, every fresh attacker, strangers told apart, other uses.

The same for every encoder of a run, and for what needs no features: softmax, labels, the raw window. Lives here because
only the command line knows both censoring and auditing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from keshi.auditing.attackers import Naming
    from keshi.auditing.identification import Identification
    from keshi.auditing.use_probe import UseFigures
    from keshi.censoring.certified import CertifiedEncoder
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.records.windows import Windows

SUITE_ROWS = 40_000  # of training that the networks of the suite learn from, drawn at random; trees and neighbours less
TREES = 30  # boosting rounds, one tree a person in each
FEW = 10  # labelled windows of every left-out label


@dataclass(frozen=True)
class LeakFigures:
    """What one encoder keeps and gives away.

    Attributes:
        f1_known, f1_unknown: macro F1 of the label on held-out windows of known people, and on strangers (NaN if
            there are none).
        attacker: a fresh 800-200 network that names the known people on their held-out windows.
        attackers: all others by name; empty where only the first was asked for.
        eer: equal error rate of telling strangers' windows apart, 0.5 being best; NaN where there are none.
        left_out_f1: macro F1 of a linear probe that learns labels left out of training from ten windows each; NaN
            where none were left out.
        uses: how well each further column of the windows is read off by a linear probe.
    """

    f1_known: float
    f1_unknown: float
    attacker: Identification
    attackers: dict[str, Naming] = field(default_factory=dict)
    eer: float = math.nan
    left_out_f1: float = math.nan
    uses: dict[str, UseFigures] = field(default_factory=dict)

    @property
    def worst(self) -> tuple[str, Naming | Identification]:
        """Name and result of the attacker that names most windows."""
        every: dict[str, Any] = {"800-200": self.attacker, **self.attackers}
        return max(every.items(), key=lambda one: one[1].accuracy)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The windows that encoders are measured on, and the budget of the attackers.

    Attributes:
        train, known, strangers: what was trained on, held-out windows of the same people, and other people's.
        left_out: windows of labels that no encoder was trained for; empty where there are none.
        seed: of the training; attackers use another.
        epochs: most epochs of each network, which stops early.
        suite: whether to try all attackers, or the 800-200 network alone.
    """

    train: Windows
    known: Windows
    strangers: Windows
    left_out: Windows | None
    seed: int
    epochs: int
    threads: int
    suite: bool

    def label_f1(self, encoder: CensoredEncoder | CertifiedEncoder) -> dict[str, float]:
        """f1_known, and f1_unknown where there are strangers."""
        from keshi.auditing.labels import macro_f1

        found = {"f1_known": macro_f1(self.known.label, encoder.predict(self.known.x))}
        if len(self.strangers):
            found["f1_unknown"] = macro_f1(self.strangers.label, encoder.predict(self.strangers.x))
        return found

    def of(self, encoder: CensoredEncoder | CertifiedEncoder) -> LeakFigures:
        """Everything about one encoder."""
        from keshi.auditing.identification import identify
        from keshi.censoring.training import use_threads

        z_train, z_known = encoder.transform(self.train.x), encoder.transform(self.known.x)
        with use_threads(self.threads):
            attacker = identify(
                z_train,
                self.train.subject,
                z_known,
                self.known.subject,
                trial_test=self.known.trial,
                seed=self.seed + 1,  # not a seed of the training, so that no first weights are shared
                max_epochs=self.epochs,
            )
        more: dict[str, Any] = {}
        if self.suite:
            more["attackers"] = self._others(z_train, z_known)
            if getattr(encoder, "noise", 0) > 0 and hasattr(encoder, "without_noise"):
                more["attackers"]["noise aware"] = self._noise_aware(encoder, z_train, z_known)
            more["eer"] = self._eer(z_train, encoder.transform(self.strangers.x))
        if self.left_out is not None:
            more["left_out_f1"] = self._probe(encoder.transform(self.left_out.x))
        if self.train.further:
            more["uses"] = self._uses(z_train, z_known, encoder.transform(self.strangers.x))
        label: dict[str, Any] = {"f1_unknown": math.nan, **self.label_f1(encoder)}
        return LeakFigures(attacker=attacker, **label, **more)

    def without_features(self, encoder: CensoredEncoder) -> dict[str, float]:
        """Shares of windows named by the worst attacker on releases that are no features, and by guessing.

        softmax and predicted label are those of `encoder`, which should be a plain network.
        """
        from keshi.auditing.identification import label_only_rate

        t, k = self.train, self.known
        found = {
            "true label only": label_only_rate(t.label, t.subject, k.label, k.subject),
            "predicted label only": label_only_rate(
                encoder.predict(t.x), t.subject, encoder.predict(k.x), k.subject
            ),
        }
        if self.suite:
            softmax = self._others(encoder.predict_proba(t.x), encoder.predict_proba(k.x))
            raw = self._others(t.x.reshape(len(t), -1), k.x.reshape(len(k), -1))
            found["softmax only"] = max(one.accuracy for one in softmax.values())
            found["raw window"] = max(one.accuracy for one in raw.values())
        return found

    def softmax_left_out_f1(self, encoder: CensoredEncoder) -> float:
        """The probe on left-out labels, from predicted probabilities alone; NaN where none were left out."""
        return math.nan if self.left_out is None else self._probe(encoder.predict_proba(self.left_out.x))

    def uses_without_features(self, encoder: CensoredEncoder) -> dict[str, dict[str, UseFigures]]:
        """What -> further column -> figures: of the softmax of `encoder`, and of the raw window; {} without columns."""
        if not self.train.further:
            return {}
        parts = (self.train.x, self.known.x, self.strangers.x)
        return {
            "softmax only": self._uses(*(encoder.predict_proba(x) for x in parts)),
            "raw window": self._uses(
                *(x.reshape(len(x), x[0].size if len(x) else parts[0][0].size) for x in parts)
            ),
        }

    def _uses(
        self, z_train: np.ndarray, z_known: np.ndarray, z_strangers: np.ndarray
    ) -> dict[str, UseFigures]:
        import numpy as np

        from keshi.auditing.use_probe import measure_use

        parts = (self.train, self.known, self.strangers)
        part = np.repeat(np.arange(3), [len(one) for one in parts])
        z = np.concatenate([z_train, z_known, z_strangers])
        subject, trial = (np.concatenate([getattr(p, name) for p in parts]) for name in ("subject", "trial"))
        return {
            name: measure_use(
                np.concatenate([one.further[name] for one in parts]),
                subject,
                z,
                learn=part == 0,
                known=part == 1,
                unknown=part == 2,
                trial=trial,
                seed=self.seed,
            )
            for name in self.train.further
        }

    def _others(self, z_train: np.ndarray, z_known: np.ndarray) -> dict[str, Naming]:
        """Every attacker but the 800-200 network, with the sensor-offset one."""
        from functools import partial

        from keshi.auditing.attackers import ATTACKERS, attack_all, naming_task, perceptron
        from keshi.censoring.training import use_threads

        task = naming_task(z_train, self.train.subject, z_known, self.known.subject)
        chosen = {"15 nearest": ATTACKERS["15 nearest"]}
        chosen["boosted trees"] = partial(ATTACKERS["boosted trees"], rounds=TREES)
        chosen["linear"] = partial(perceptron, hidden=(), max_epochs=self.epochs, most_rows=SUITE_ROWS)
        with use_threads(self.threads):
            return attack_all(
                task,
                trial=self.known.trial,
                offset_train=self.train.x.mean(axis=2),
                attackers=chosen,
                seed=self.seed + 1,
            )

    def _noise_aware(self, encoder: Any, z_train: np.ndarray, z_known: np.ndarray) -> Naming:
        from keshi.auditing.attackers import naming_task, noise_aware, score

        task = naming_task(z_train, self.train.subject, z_known, self.known.subject)
        clean = encoder.without_noise(self.train.x)
        log_p = noise_aware(
            task, clean_train=clean, noisy_test=z_known, noise=encoder.noise, seed=self.seed + 1
        )
        return score(log_p, task.code_test, trial=self.known.trial, seed=self.seed)

    def _eer(self, z_train: np.ndarray, z_strangers: np.ndarray) -> float:
        from keshi.auditing.verification import verify
        from keshi.errors import DomainError

        try:
            return verify(
                z_train,
                self.train.subject,
                z_strangers,
                self.strangers.subject,
                trial_test=self.strangers.trial,
                label_test=self.strangers.label,
                seed=self.seed,
            ).eer
        except DomainError:  # fewer than two strangers, or nobody with two recordings of one label
            return math.nan

    def _probe(self, z: np.ndarray) -> float:
        from keshi.auditing.few_shot import few_shot_f1

        assert self.left_out is not None
        return few_shot_f1(
            z, self.left_out.label, trial=self.left_out.trial, per_class=FEW, seed=self.seed
        ).f1
