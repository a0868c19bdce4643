"""The two-player games: which adversary is trained in step 1, and what step 2 asks of the encoder.

Every method but the plain network is one game (methods.py has their names); the alternating loop (training.py) plays
any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from keshi._validate import one_of
from keshi.censoring.adversaries import SimilarityDiscriminator, SubjectClassifier
from keshi.censoring.objectives import (
    BALANCED_PAIR_ENTROPY,
    adversarial_subject_loss,
    description_loss,
    entropy,
    hsic_given_label,
    information_read,
    label_loss,
    label_loss_of_pairs,
    learned_similarity,
    reverse_gradient,
    similarity_confusion,
    similarity_loss,
    subject_loss,
)
from keshi.censoring.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Scaled windows x (n, channels, length) float32; label and subject (n,) as codes from 0.

    `shared` (n, k) are descriptors to keep beside the label, times the root of their weight; None where there are none.
    """

    x: Tensor
    label: Tensor
    subject: Tensor
    shared: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class EncoderLosses:
    """Step 2 on one batch: the label's loss, the adversarial term, and how the frozen adversary did."""

    label: Tensor
    adversarial: Tensor  # without its strength; a zero where the strength is 0
    adversary: Tensor  # the adversary's own loss in nats, for the health monitor only
    own: Tensor | None = None  # minimised as it is: descriptors to keep, an adversary that keeps learning


def description_of(head: nn.Module, z: Tensor, data: TrainingSet, rows: Tensor) -> Tensor | None:
    """The loss of the shared descriptors of a batch, or None where none are to be kept."""
    if data.shared is None:
        return None
    return description_loss(head.describe(z), data.shared[rows])  # type: ignore[operator]


class Game(Protocol):
    """What the alternating loop needs to know of a method."""

    adversary: nn.Module
    uninformed: float  # loss in nats of an adversary that knows only base rates
    notes: tuple[str, ...]  # what the user should know, such as pair cells that are empty
    has_step1: bool  # the adversary learns in a step of its own, against a frozen encoder
    simultaneous: bool  # the adversary learns in step 2, together with the encoder

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        """Step 1: the adversary's loss on `count` samples of the cached features z (n, features)."""

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        """Step 2: the losses of encoder and head on `count` samples; no adversary where not `adversarial`."""


class SubjectGame:
    """AFL: the adversary names the person; eq. 1.

    With target "grl" both players of eq. 1 learn in one pass through a gradient reversal layer: the adversary descends
    on its loss, the encoder ascends on it `strength` times.
    """

    def __init__(
        self,
        data: TrainingSet,
        features: int,
        *,
        generator: torch.Generator,
        hidden: tuple[int, ...] = (800, 200),
        target: str = "flip",
    ) -> None:
        one_of("target", target, ("flip", "prior", "grl"))
        counts = torch.bincount(data.subject)
        self.data = data
        self.target = target
        self.simultaneous = target == "grl"
        self.has_step1 = not self.simultaneous
        self.prior = counts / counts.sum()
        self.uninformed = entropy(counts)
        self.notes: tuple[str, ...] = ()
        self.adversary: nn.Module = SubjectClassifier(
            features, len(counts), hidden=hidden, generator=generator
        )

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(len(self.data), size=count))
        return subject_loss(self.adversary(z[rows]), self.data.subject[rows])

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        rows = torch.from_numpy(rng.integers(len(self.data), size=count))
        z = encoder(self.data.x[rows])
        label, kept = label_loss(head(z), self.data.label[rows]), description_of(head, z, self.data, rows)
        if not adversarial:
            return EncoderLosses(label, torch.zeros(()), torch.zeros(()), kept)
        logits = self.adversary(reverse_gradient(z) if self.simultaneous else z)
        subjects = self.data.subject[rows]
        term = adversarial_subject_loss(logits, subjects, target=self.target, prior=self.prior)
        return EncoderLosses(label, term, F.cross_entropy(logits.detach(), subjects), kept)


class ConditionalGame:
    """MaxEnt given the label: the adversary names the person from features and label, and never stops learning.

    It learns in step 1, so that every round begins with one that has seen the finished features, and in step 2 on the
    encoder's own batches, so that it is not fooled in between.
    """

    has_step1 = True
    simultaneous = True

    def __init__(
        self,
        data: TrainingSet,
        features: int,
        *,
        generator: torch.Generator,
        hidden: tuple[int, ...] = (256, 128),
    ) -> None:
        labels, people = int(data.label.max()) + 1, int(data.subject.max()) + 1
        counts = torch.zeros(labels, people)
        counts.index_put_((data.label, data.subject), torch.ones(len(data)), accumulate=True)
        self.data = data
        self.labels = labels
        # one more window for everybody: a person who never did an activity must not weigh without bound
        self.prior = (counts + 1) / (counts + 1).sum(dim=1, keepdim=True)
        share = counts.sum(dim=1) / len(data)
        self.uninformed = float(sum(p * entropy(row) for p, row in zip(share, counts, strict=True)))
        self.notes: tuple[str, ...] = ()
        self.adversary: nn.Module = SubjectClassifier(
            features + labels, people, hidden=hidden, generator=generator
        )

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(len(self.data), size=count))
        return subject_loss(self.adversary(self._asked(z[rows], rows)), self.data.subject[rows])

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        rows = torch.from_numpy(rng.integers(len(self.data), size=count))
        z = encoder(self.data.x[rows])
        label, kept = label_loss(head(z), self.data.label[rows]), description_of(head, z, self.data, rows)
        if not adversarial:
            return EncoderLosses(label, torch.zeros(()), torch.zeros(()), kept)
        asked = self._asked(z, rows)
        frozen = {name: value.detach() for name, value in self.adversary.named_parameters()}
        logits = torch.func.functional_call(self.adversary, frozen, (asked,))
        term = information_read(logits, self.prior[self.data.label[rows]])
        own = subject_loss(self.adversary(asked.detach()), self.data.subject[rows])
        return EncoderLosses(label, term, own.detach(), own if kept is None else own + kept)

    def _asked(self, z: Tensor, rows: Tensor) -> Tensor:
        return torch.cat([z, F.one_hot(self.data.label[rows], self.labels).to(z.dtype)], dim=1)


class PairGame:
    """SCT and LSM: the adversary says whether two windows come from the same person; eq. 2 to 5.

    Args:
        learned: False for SCT (eq. 3 on all pairs), True for LSM (eq. 5 on Gnp and Gnn only).
        pairs: how pairs are drawn in step 1 and, for SCT, in step 2: a name in pairs.PAIR_MODES.
        target: SCT only: "flip" (eq. 3) or "prior" (q = 1/2).
        reduction: L_y of a pair is the "sum" over both members (eq. 4) or their "mean".
        partners: in step 2 both members of a pair are "drawn", or every window of a batch is paired with another
            of the "batch": as many pairs, each window encoded once, at about two thirds of the cost.
    """

    has_step1 = True
    simultaneous = False

    def __init__(
        self,
        data: TrainingSet,
        features: int,
        *,
        generator: torch.Generator,
        learned: bool = False,
        pairs: str = "balanced",
        target: str = "flip",
        reduction: str = "sum",
        partners: str = "drawn",
    ) -> None:
        one_of("target", target, ("flip", "prior"))
        one_of("partners", partners, ("drawn", "batch"))
        if learned and target != "flip":
            raise ValueError(
                "target='prior' is for afl-mlp, afl-dnn and sct; lsm has no flipped labels to replace."
            )
        labels, subjects = data.label.numpy(), data.subject.numpy()
        self.data = data
        self.learned = learned
        self.target = target
        self.reduction = reduction
        self.partners = partners
        self._step1 = PairSampler(labels, subjects, mode=pairs)
        self._step2 = PairSampler(labels, subjects, mode="learned") if learned else self._step1
        self.uninformed = _pair_entropy(self._step1, subjects)
        self.notes = _empty_sets(self._step1, self._step2)
        self.adversary: nn.Module = SimilarityDiscriminator(features, generator=generator)

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        pairs = self._step1.draw(count, rng)
        logits = self.adversary(z[torch.from_numpy(pairs.first)], z[torch.from_numpy(pairs.second)])
        return similarity_loss(logits, torch.from_numpy(pairs.same_subject).to(z.dtype))

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        if self.partners == "batch":
            batch = rng.integers(len(self.data), size=count)
            pairs = self._step2.within(batch, rng)
            first, second = torch.from_numpy(pairs.first), torch.from_numpy(pairs.second)
        else:
            pairs = self._step2.draw(count, rng)
            batch = np.concatenate([pairs.first, pairs.second])
            first, second = torch.arange(2 * count).split(count)
        rows = torch.from_numpy(batch)
        z = encoder(self.data.x[rows])  # all members in one pass
        logits, labels = head(z), self.data.label[rows]
        label = label_loss_of_pairs(
            logits[first], logits[second], labels[first], labels[second], reduction=self.reduction
        )
        if not adversarial:
            return EncoderLosses(label, torch.zeros(()), torch.zeros(()))
        same_person = self.adversary(z[first], z[second])
        same = torch.from_numpy(pairs.same_subject).to(z.dtype)
        if self.learned:
            same_label = torch.from_numpy(pairs.same_label)
            term = learned_similarity(same_person[same_label], same_person[~same_label])
        else:
            term = similarity_confusion(same_person, same, target=self.target)
        return EncoderLosses(label, term, similarity_loss(same_person.detach(), same))


class KernelGame:
    """HSIC: a fixed kernel says how alike two windows' features are; the same person must not make them more alike.

    Nobody learns to be fooled: the HSIC of a batch given the label is penalised as it is (objectives.hsic_given_label).
    A batch consists of pairs of one label, half of them of one person, because windows drawn one by one hold hardly
    any such pair where there are many people. In place of an adversary's loss stands what the kernel does not see,
    1 - HSIC, beside the 1 of features that say nothing.
    """

    has_step1 = False
    simultaneous = False
    uninformed = 1.0

    def __init__(self, data: TrainingSet, features: int, *, generator: torch.Generator) -> None:
        self.data = data
        self._pairs = PairSampler(data.label.numpy(), data.subject.numpy(), mode="conditional")
        self.notes = _empty_sets(self._pairs)
        self.adversary: nn.Module = nn.Identity()  # a kernel has no weights

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        raise NotImplementedError("a kernel does not learn: has_step1 is False.")

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        pairs = self._pairs.draw((count + 1) // 2, rng)
        rows = torch.from_numpy(np.concatenate([pairs.first, pairs.second])[:count])
        z, label = encoder(self.data.x[rows]), self.data.label[rows]
        loss, kept = label_loss(head(z), label), description_of(head, z, self.data, rows)
        if not adversarial:
            return EncoderLosses(loss, torch.zeros(()), torch.zeros(()), kept)
        seen = hsic_given_label(z, self.data.subject[rows], label)
        return EncoderLosses(loss, seen, 1 - seen.detach(), kept)


def _empty_sets(*samplers: PairSampler) -> tuple[str, ...]:
    """What the user should know of pair sets that nobody can fill."""
    empty = sorted({name for sampler in samplers for name in sampler.empty})
    return (f"no pairs in {', '.join(empty)}; the other sets were drawn more often",) if empty else ()


def _pair_entropy(sampler: PairSampler, subjects: np.ndarray) -> float:
    """Loss in nats of a Dsim that knows only how often pairs are of the same person."""
    if sampler.mode == "natural":
        same = float(((np.bincount(subjects) / len(subjects)) ** 2).sum())
    else:
        same = sum(share for name, share in sampler.shares.items() if name[0] == "p")
    if same == 0.5:
        return BALANCED_PAIR_ENTROPY
    return entropy(torch.tensor([same, 1 - same]))
