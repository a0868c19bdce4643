"""What each step minimises: plain functions of tensors, each named by its equation.

Equations are those of Iwasawa et al. (JSAI 2018). All logits of Dsim are of q := q(g = 1 | z'), "the same
person"; only this reading makes equations 2, 3 and 5 agree with their explanations.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from keshi._validate import one_of


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """L_y of one window: cross-entropy of the label, mean over the batch; first term of eq. 1."""
    return F.cross_entropy(logits, labels)


def label_loss_of_pairs(
    first: Tensor, second: Tensor, first_labels: Tensor, second_labels: Tensor, *, reduction: str = "sum"
) -> Tensor:
    """L_y of pairs: cross-entropy of both members, added as in eq. 4, or their mean."""
    one_of("reduction", reduction, ("sum", "mean"))
    total = F.cross_entropy(first, first_labels) + F.cross_entropy(second, second_labels)
    return total if reduction == "sum" else total / 2


def description_loss(described: Tensor, descriptors: Tensor) -> Tensor:
    """Mean squared error of what z tells of the shared descriptors (n, k) of a window; see shared.py."""
    return F.mse_loss(described, descriptors)


def subject_loss(logits: Tensor, subjects: Tensor) -> Tensor:
    """What D minimises in step 1 of AFL: cross-entropy of the subject (max over D in eq. 1)."""
    return F.cross_entropy(logits, subjects)


def adversarial_subject_loss(
    logits: Tensor, subjects: Tensor, *, target: str = "flip", prior: Tensor | None = None
) -> Tensor:
    """Second term of eq. 1, without its strength: what the encoder minimises against a frozen D.

    Targets:
        flip: E[log q_D(s | z)], literally eq. 1. Unbounded below: D can be fooled without end.
        grl: the cross-entropy itself; for logits of D(reverse_gradient(z)), the one-pass form of eq. 1.
        prior: cross-entropy from the subjects' base rates `prior` (subjects,) to q_D. Bounded, and lowest
            exactly where D has learned nothing (Roy & Boddeti, CVPR 2019, for equal rates).
    """
    one_of("target", target, ("flip", "grl", "prior"))
    if target == "flip":
        return -F.cross_entropy(logits, subjects)
    if target == "grl":
        return F.cross_entropy(logits, subjects)
    if prior is None:
        raise ValueError("target 'prior' needs prior=, the base rate of every subject.")
    return -(prior * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def information_read(logits: Tensor, prior: Tensor) -> Tensor:
    """E[KL(q_D(s | z, y) || p(s | y))]: what D claims to know of the person beyond the label, in nats.

    Bounded, and lowest (0) exactly where D is left with the base rates `prior` (n, subjects) of each window's label.
    MaxEnt-ARL (Roy & Boddeti, CVPR 2019) with the base rates of the label in place of equal ones: erasing the person
    given the label takes nothing from the label, however person and label depend (AFLAC, Akuzawa et al. 2019).
    """
    claimed = F.log_softmax(logits, dim=1)
    return (claimed.exp() * (claimed - prior.log())).sum(dim=1).mean()


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, z: Tensor) -> Tensor:
        return z.view_as(z)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def reverse_gradient(z: Tensor) -> Tensor:
    """z itself forwards, the negated gradient backwards: eq. 1 for both players in one pass."""
    return _ReverseGradient.apply(z)


def similarity_loss(logits: Tensor, same: Tensor) -> Tensor:
    """L_D, eq. 2, what Dsim minimises in step 1: binary cross-entropy of g (1. the same person, 0. not)."""
    return F.binary_cross_entropy_with_logits(logits, same)


def similarity_confusion(logits: Tensor, same: Tensor, *, target: str = "flip") -> Tensor:
    """L_sc, eq. 3, of SCT's step 2: the encoder wants Dsim to say the opposite of g.

    target "prior" asks for q = 1/2 instead, the base rate of balanced pairs; eq. 3 itself is lowest where
    Dsim is certain and wrong, which a fresh Dsim can undo.
    """
    one_of("target", target, ("flip", "prior"))
    wanted = 1 - same if target == "flip" else torch.full_like(same, 0.5)
    return F.binary_cross_entropy_with_logits(logits, wanted)


def learned_similarity(negative_positive: Tensor, negative_negative: Tensor) -> Tensor:
    """L_sim, eq. 5, of LSM's step 2: a mean per set, added.

    Args:
        negative_positive: logits of pairs of different people with the same label (Gnp), to be drawn
            together: -log q is small where Dsim says "the same person".
        negative_negative: logits of pairs of different people with different labels (Gnn), kept apart.
    """
    return _mean(F.softplus(-negative_positive)) + _mean(F.softplus(negative_negative))


def hsic_given_label(z: Tensor, subjects: Tensor, labels: Tensor) -> Tensor:
    """HSIC of z (n, features) and the subject given the label, without bias, relative to what the subjects allow.

    Song et al. (JMLR 2012), eq. 5, of the measure of Gretton et al. (ALT 2005): with k a Gaussian kernel and l = 1 for
    the same subject, within each label and both without their diagonals,

        [tr(K L) + 1'K1 1'L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K L1] / (n (n - 3)).

    Labels weigh by their windows. The sum is divided by that of p (1 - p), p the share of pairs of one subject. For
    subjects equally frequent this is E[k | same subject] - E[k | another], whatever their number: half the mean squared
    MMD between two subjects, the measure that Louizos et al. (ICLR 2016) penalise. Where z tells nothing beyond the
    label it is 0 on average. The kernel's width is the median distance within labels, so that shrinking z gains
    nothing; no gradient runs through it.
    """
    of_label = F.one_hot(labels).to(z.dtype).T
    n = of_label.sum(dim=1)
    of_label, n = of_label[n > 3], n[n > 3]  # eq. 5 needs four windows
    other = (labels[:, None] == labels) & ~torch.eye(len(z), dtype=torch.bool)
    squares = (z * z).sum(dim=1)
    distance = (squares[:, None] + squares - 2 * z @ z.T).clamp_min(0)  # squared
    width = distance.detach()[other].median().nan_to_num(1.0)  # NaN: no pair at all
    k = torch.where(other, torch.exp(-distance / (2 * width.clamp_min(SMALLEST))), 0.0)
    same = (other & (subjects[:, None] == subjects)).to(z.dtype)
    k_sum, same_sum = of_label @ k.sum(dim=1), of_label @ same.sum(dim=1)
    hsic = of_label @ (k * same).sum(dim=1) - 2 / (n - 2) * (of_label @ (k.sum(dim=1) * same.sum(dim=1)))
    hsic = (hsic + k_sum * same_sum / ((n - 1) * (n - 2))) / (n * (n - 3))
    p = same_sum / (n * (n - 1))
    told = (p > 0) & (p < 1)  # labels of one subject have only rounding left, and nothing to divide by
    return (n * hsic)[told].sum() / (n * p * (1 - p)).sum().clamp_min(SMALLEST)


def entropy(counts: Tensor) -> float:
    """Entropy in nats of the distribution that counts (k,) describe: the loss of knowing nothing more."""
    p = counts.double() / counts.sum()
    p = p[p > 0]
    return float(-(p * p.log()).sum()) if len(p) > 1 else 0.0


SMALLEST = 1e-30  # divisors are at least that: features all alike, or subjects that never share a label
BALANCED_PAIR_ENTROPY = math.log(2)  # nats: the loss of a Dsim that knows nothing, on balanced pairs


def _mean(values: Tensor) -> Tensor:
    # An empty set of pairs (reported by the sampler) must add nothing, not NaN.
    return values.mean() if values.numel() else values.sum()
