"""What a sweep says on every claim of Iwasawa et al. (JSAI 2018), and on the controls the paper does not have.

Points are chosen on one half of the held-out recordings ("select") and compared on the other ("report"). Takes the
plain lines of a sweep's results, finished or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keshi.auditing.tradeoff import Envelope, lower_envelope, mean_gap

Line = Mapping[str, Any]
AXES = ("known", "unknown")
METHOD_ORDER = ("afl-mlp", "afl-dnn", "sct", "lsm")  # of the paper; others follow by name
LOST = 0.05  # of F1 against the plain network: methods are compared where they keep more than that
MARGIN = 0.02  # of attacker accuracy: a smaller difference is taken for none
F1_MARGIN = 0.01  # of F1: what may be lost while it counts as kept
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}  # Student's t, two-sided 95 %, by number of seeds
PENDING = "not measured yet"


@dataclass(frozen=True)
class Claim:
    """One comparison: `kind` is "best", "as good", "like" or "keeps"; `against` "control" is the same at strength 0."""

    text: str
    method: str
    against: tuple[str, ...]
    kind: str
    axes: tuple[str, ...] = AXES
    of_paper: bool = True


AFL = ("afl-mlp", "afl-dnn")
CLAIMS = (
    Claim("sct at least as good as AFL", "sct", AFL, "as good"),
    Claim("lsm at least as good as AFL", "lsm", AFL, "as good"),
    Claim("sct best of all", "sct", (*AFL, "lsm"), "best"),
    Claim("sct keeps or raises F1 of unknown people", "sct", ("cnn",), "keeps", ("unknown",)),
    Claim("lsm like AFL for unknown people", "lsm", AFL, "like", ("unknown",)),
    Claim("lsm like sct for known people", "lsm", ("sct",), "like", ("known",)),
    *(Claim(f"{m} better than its control", m, ("control",), "best", of_paper=False) for m in METHOD_ORDER),
    Claim("sct keeps or raises F1 against its control", "sct", ("control",), "keeps", ("unknown",), False),
)


@dataclass(frozen=True)
class Finding:
    """What the results say on a claim, on one axis.

    Attributes:
        against: the rival that comes off best; None before any is measured.
        strengths: that both have, over which points are chosen.
        seeds: over which `gap` is the mean.
        gap: of attacker accuracy at the same F1 (below 0: less leaks than with the rival; minus or plus infinity:
            the rival, or the method, keeps too little F1 to compare; NaN: neither keeps it, or seeds differ in that);
            of F1 where the claim is on F1 (above 0: more is kept). None where nothing can be said yet.
        f1_gap: of F1 on the half to report on, among the points compared; None where the claim is on F1 itself.
        lower, upper: 95 % interval of the gap.
        interval: "seeds": Student's t; "recordings": of one seed, see `recordings_interval`; "": none.
        verdict: yes, no, open (the interval holds both), or not measured yet.
        complete: whether all planned strengths are in it; otherwise the verdict is one for the time being.
    """

    claim: str
    of_paper: bool
    axis: str
    against: str | None
    strengths: tuple[float, ...]
    seeds: int
    gap: float | None
    f1_gap: float | None
    lower: float | None
    upper: float | None
    interval: str
    verdict: str
    complete: bool = True


def findings(results: Sequence[Line], *, planned: Sequence[float] = ()) -> list[Finding]:
    """Every claim on its axes: over all strengths of the main seed, and at strength 1 over all seeds.

    `planned`: the strengths that the sweep is to have in the end.
    """
    found = []
    main = main_seed(results)
    seeds = sorted({line["cell"]["seed"] for line in results})
    for claim in CLAIMS:
        for axis in claim.axes:
            if axis not in axes_of(results):
                found.append(_pending(claim, axis))
                continue
            if claim.kind == "keeps":
                found.append(_kept(results, claim, axis))
                continue
            one = _compared(results, claim, axis, [main], None)
            found.append(replace(one, complete=set(planned) - {0.0} <= set(one.strengths)))
            if len(seeds) > 1:
                found.append(_compared(results, claim, axis, seeds, 1.0))
    return found


def axes_of(results: Sequence[Line]) -> tuple[str, ...]:
    """The axes that were measured: with two people nobody is a stranger."""
    measured = [point for line in results for point in line["points"]]
    return tuple(axis for axis in AXES if any(f"f1_{axis}" in point for point in measured))


def main_seed(results: Sequence[Line]) -> int:
    """The seed of the figures: the one with most cells, the smallest of several."""
    seeds = [line["cell"]["seed"] for line in results]
    return int(max(sorted(set(seeds)), key=seeds.count))


def methods_of(results: Sequence[Line]) -> list[str]:
    """The methods with an adversary, in the paper's order."""
    found = {line["cell"]["method"] for line in results if line["cell"]["strength"] > 0}
    return [m for m in METHOD_ORDER if m in found] + sorted(found - set(METHOD_ORDER))


def control_of(method: str) -> str:
    """Whose cell at strength 0 is a method's control: without an adversary the forms of AFL are one training."""
    return "afl-dnn" if method.startswith("afl") else method


def points(
    results: Sequence[Line], method: str, *, strengths: Sequence[float], measure: str = "attacker"
) -> list[dict[str, Any]]:
    """The rounds of a method at some strengths in which `measure` was taken, with their strength."""
    return [
        {"strength": line["cell"]["strength"], **point}
        for line in results
        if line["cell"]["method"] == method and line["cell"]["strength"] in strengths
        for point in line["points"]
        if measure in point
    ]


def column(found: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([point[name] for point in found], dtype=float)


def plain_point(results: Sequence[Line]) -> Mapping[str, float] | None:
    """The plain network's figures, of the first seed there is."""
    return next((line["points"][0] for line in results if line["cell"]["method"] == "cnn"), None)


def strengths_of(results: Sequence[Line], method: str) -> tuple[float, ...]:
    found = {line["cell"]["strength"] for line in results if line["cell"]["method"] == method}
    return tuple(sorted(found - {0.0}))


def recordings_interval(plain: Mapping[str, float]) -> float:
    """Half the 95 % interval of a difference of two attackers' rates on the half to report on; NaN where unknown.

    From the bootstrap over recordings of the plain network's attacker, widened by sqrt(2) for half of the recordings,
    and by sqrt(2) again for a difference. Wide, because both attackers are asked about the same windows, which makes
    them err together, and this counts them as independent; but the chance of the training itself is not in it.
    """
    if not {"full_lower", "full_upper"} <= set(plain):
        return math.nan
    half = (plain["full_upper"] - plain["full_lower"]) / 2
    return float(half * math.sqrt(2) * math.sqrt(2))


def seeds_interval(values: Sequence[float]) -> float:
    """Half the 95 % interval of a mean over seeds, by Student's t; NaN for one seed."""
    if len(values) < 2:
        return math.nan
    return T_95.get(len(values), 2.45) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def chosen_points(found: Sequence[Mapping[str, Any]], axis: str) -> list[Mapping[str, Any]]:
    """The lower envelope on the half to choose on, the most useful point first."""
    curve = lower_envelope(column(found, f"f1_{axis}_select"), column(found, "attacker_select"))
    return [found[place] for place in curve.chosen]


def _reported(found: Sequence[Mapping[str, Any]], axis: str, measure: str) -> Envelope:
    """For each F1 demanded on the half to choose on, what the point chosen for it shows on the other half."""
    chosen = chosen_points(found, axis)
    useful = column(chosen, f"f1_{axis}_select")
    return Envelope(useful, column(chosen, f"{measure}_report"), np.arange(len(chosen)))


def _compared(
    results: Sequence[Line], claim: Claim, axis: str, seeds: Sequence[int], only: float | None
) -> Finding:
    """Against the rival that comes off best; the claim is decided only when all rivals are measured."""
    per_rival = {rival: _against(results, claim, axis, seeds, only, rival) for rival in claim.against}
    measured = {rival: one for rival, one in per_rival.items() if one is not None}
    if not measured:
        return _pending(claim, axis)

    def hardest(rival: str) -> float:
        gap = measured[rival].gap
        assert gap is not None
        return math.inf if math.isnan(gap) else (abs(gap) if claim.kind == "like" else gap)

    one = measured[max(measured, key=hardest)]
    complete = len(measured) == len(claim.against)
    verdict = one.verdict if complete or one.verdict == "no" else PENDING
    return replace(one, verdict=verdict)


def _against(
    results: Sequence[Line], claim: Claim, axis: str, seeds: Sequence[int], only: float | None, rival: str
) -> Finding | None:
    gaps: list[float] = []
    f1_gaps: list[float] = []
    half, shared = math.nan, ()  # type: float, tuple[float, ...]
    for seed in seeds:
        ours = [line for line in results if line["cell"]["seed"] == seed]
        plain = plain_point(ours)
        other = control_of(claim.method) if rival == "control" else rival
        strengths = set(strengths_of(ours, claim.method))
        if rival != "control":
            strengths &= set(strengths_of(ours, other))
        if only is not None:
            strengths &= {only}
        own = points(ours, claim.method, strengths=tuple(strengths))
        theirs = points(ours, other, strengths=(0.0,) if rival == "control" else tuple(strengths))
        if plain is None or not own or not theirs:
            continue
        lowest, half = plain[f"f1_{axis}_select"] - LOST, recordings_interval(plain)
        shared = tuple(sorted(strengths))
        gaps.append(
            mean_gap(_reported(own, axis, "attacker"), _reported(theirs, axis, "attacker"), lowest=lowest)
        )
        f1_gaps.append(
            mean_gap(_reported(own, axis, f"f1_{axis}"), _reported(theirs, axis, f"f1_{axis}"), lowest=lowest)
        )
        if math.isnan(gaps[-1]):  # not both keep so much F1, which decides between them
            keeps = [bool(column(of, f"f1_{axis}_select").max() >= lowest) for of in (own, theirs)]
            gaps[-1] = math.nan if keeps[0] == keeps[1] else (-math.inf if keeps[0] else math.inf)
    if not gaps:
        return None
    if not np.isfinite(gaps).all():
        gap = gaps[0] if len(set(gaps)) == 1 else math.nan  # seeds that disagree decide nothing
        verdict = "open" if math.isnan(gap) else ("yes" if gap < 0 and claim.kind != "like" else "no")
        undecided = (None, None, None, "")
        return Finding(claim.text, claim.of_paper, axis, rival, shared, len(gaps), gap, *undecided, verdict)
    mean = float(np.mean(gaps))
    half, how = (seeds_interval(gaps), "seeds") if len(gaps) > 1 else (half, "recordings")
    if math.isnan(half):
        lower, upper, how, verdict = None, None, "", "open"
    else:
        lower, upper = mean - half, mean + half
        verdict = _verdict(claim.kind, lower, upper)
    beside = (float(np.mean(f1_gaps)), lower, upper, how)
    return Finding(claim.text, claim.of_paper, axis, rival, shared, len(gaps), mean, *beside, verdict)


def _kept(results: Sequence[Line], claim: Claim, axis: str) -> Finding:
    """F1 after the last round at strength 1, less the rival's, of the same seeds; nothing is chosen here."""
    rival = claim.against[0]
    last: dict[str, dict[int, float]] = {"own": {}, "rival": {}}
    for line in results:
        method, strength, seed = (line["cell"][name] for name in ("method", "strength", "seed"))
        if line["points"]:
            value = line["points"][-1][f"f1_{axis}_report"]
            if (method, strength) == (claim.method, 1.0):
                last["own"][seed] = value
            if (method, strength) == (("cnn" if rival == "cnn" else control_of(claim.method)), 0.0):
                last["rival"][seed] = value
    change = [
        last["own"][seed] - last["rival"][seed] for seed in sorted(set(last["own"]) & set(last["rival"]))
    ]
    if not change:
        return _pending(claim, axis)
    mean, half = float(np.mean(change)), seeds_interval(change)
    lower, upper = (None, None) if math.isnan(half) else (mean - half, mean + half)
    how = "" if lower is None else "seeds"
    verdict = "open" if lower is None or upper is None else _verdict("keeps", lower, upper)
    return Finding(
        claim.text, claim.of_paper, axis, rival, (1.0,), len(change), mean, None, lower, upper, how, verdict
    )


def _verdict(kind: str, lower: float, upper: float) -> str:
    """Yes where the whole interval supports the claim, no where the whole interval contradicts it, else open."""
    yes, no = {
        "best": (upper < 0, lower >= 0),
        "as good": (upper <= MARGIN, lower > 0),
        "like": (lower >= -MARGIN and upper <= MARGIN, lower > MARGIN or upper < -MARGIN),
        "keeps": (lower >= -F1_MARGIN, upper < 0),
    }[kind]
    return "yes" if yes else ("no" if no else "open")


def _pending(claim: Claim, axis: str) -> Finding:
    return Finding(claim.text, claim.of_paper, axis, None, (), 0, None, None, None, None, "", PENDING)
