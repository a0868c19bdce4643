"""The part of keshi audit that takes features: read the arrays, attack, print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import numpy as np

    from keshi.auditing.feature_audit import FeatureAudit
    from keshi.auditing.use_probe import UseFigures
    from keshi.cli.audit_output import Order


def audit_features_file(
    order: Order,
    path: Path,
    *,
    subject: str | None,
    label: str | None,
    trial: str | None,
    softmax: str | None,
    raw: str | None,
    compare: Path | None,
    uses: Sequence[str],
    seed: int,
) -> None:
    """Attack the features in an npz file and say how well the person is named."""
    from keshi.auditing.feature_audit import audit_features
    from keshi.auditing.gates import check_gates
    from keshi.cli.audit_output import deliver
    from keshi.cli.progress import progress_bar

    if subject is None:
        raise typer.BadParameter("say which array names the person: --subject.", param_hint="--features")
    roles = {"subject": subject, "label": label, "trial": trial, "softmax": softmax, "raw": raw}
    if taken := [name for name in uses if name in roles.values()]:
        raise typer.BadParameter(f"{taken[0]} is given as another option already.", param_hint="--use")
    further = {f"use {name}": name for name in uses}
    arrays = read_features(path, {**roles, **further})
    second = None
    if compare is not None:
        beside = read_features(compare, {"subject": subject, "trial": trial})
        check_same_rows(path, arrays, compare, beside)
        second = beside["z"]
    parts = 1 + sum(one is not None for one in (softmax, raw, compare))
    with progress_bar("auditing") as advance:
        steps = iter(range(1, 100))
        found = audit_features(
            arrays["z"],
            arrays["subject"],
            label=arrays.get("label"),
            trial=arrays.get("trial"),
            softmax=arrays.get("softmax"),
            raw=arrays.get("raw"),
            compare=second,
            uses={name: arrays[role] for role, name in further.items()},
            seed=seed,
            progress=lambda what: advance(next(steps), 3 * parts, what),
        )
    gates = check_gates(found, order.limits)
    page = None
    if order.output is not None:
        from keshi.reports.feature_audit import feature_audit_report

        page = feature_audit_report(
            found,
            title=f"Audit of {path.name}",
            has_trials=trial is not None,
            statement=order.promise,
            gates=gates,
            settings={"features": path.name, "width": int(arrays["z"][0].size), "seed": seed},
            cost=order.cost,
        )
    deliver(order, found.to_json(), feature_lines(found, has_trials=trial is not None), gates, page)


def check_same_rows(
    path: Path, arrays: dict[str, np.ndarray], compare: Path, beside: dict[str, np.ndarray]
) -> None:
    """Both files must speak of the same rows in the same order."""
    from keshi.errors import RecordsError

    for role in ("subject", "trial"):
        if role in arrays and arrays[role].tolist() != beside[role].tolist():
            raise RecordsError(
                f"{compare}: expected the rows of {path} in the same order, but {role} differs; save both from one run."
            )


def read_features(path: Path, named: dict[str, str | None]) -> dict[str, np.ndarray]:
    """Arrays of an npz file: `z`, or the only one that has no other role, and those named here (role -> name)."""
    from keshi.errors import RecordsError
    from keshi.records.array_files import whole_arrays

    if not path.exists():
        raise RecordsError(f"{path}: no such file.")
    if not path.name.lower().endswith(".npz"):
        raise RecordsError(f"{path}: expected an npz file of named arrays; save them with numpy.savez.")
    roles = {role: name for role, name in named.items() if name is not None}
    found = whole_arrays(path)
    others = [name for name in found if name not in roles.values()]
    features = "z" if "z" in others else others[0] if len(others) == 1 else None
    absent = [name for name in roles.values() if name not in found]
    if absent or features is None:
        raise RecordsError(
            f"{path}: expected an array z (or a single other one) and {sorted(roles.values())}; it holds "
            f"{sorted(found)}, one entry or more for each row."
        )
    arrays = {role: found[name] for role, name in {"z": features, **roles}.items()}
    for role in ("z", "softmax", "raw"):
        one = arrays.get(role)
        if one is not None and (one.dtype.kind not in "biuf" or not one.size):
            raise RecordsError(
                f"{path}: {role} has to hold numbers, at least one a row; it is of {one.dtype} and shape {one.shape}."
            )
    wrong = {name: one.shape for name, one in arrays.items() if one.ndim < 1 or len(one) != len(arrays["z"])}
    if wrong or any(arrays[role].ndim != 1 for role in roles if role not in ("softmax", "raw")):
        raise RecordsError(f"{path}: every array needs one entry a row; {wrong or roles} do not.")
    return arrays


def feature_lines(found: FeatureAudit, *, has_trials: bool) -> list[str]:
    """What the command says."""
    lines = [
        f"{found.subjects} people, {found.train_rows:,} rows to learn from, {found.test_rows:,} held out "
        f"({found.test_trials:,} {'trials' if has_trials else 'rows'})"
    ]
    for name, one in found.attackers.items():
        lines.append(
            f"  attacker {name:13} names {one.accuracy:.3f} of the rows [{one.lower:.3f}, {one.upper:.3f}], "
            f"{one.trial_accuracy:.3f} of the trials; at least {one.bits:.2f} bits leak"
        )
    lines.append(f"  guessing the most frequent person: {found.majority:.3f}")
    for name, other in found.beside.items():
        lines.append(
            f"  worst attacker on {name}: {other.accuracy:.3f} of the rows [{other.lower:.3f}, {other.upper:.3f}]"
        )
    if found.verification is not None:
        pairs = found.verification
        lines.append(
            f"  strangers told apart: equal error rate {pairs.eer:.3f} over {pairs.people} people (0.5: guessing)"
        )
    if found.predicted_only is not None:
        lines.append(f"  knowing the predicted label alone: {found.predicted_only:.3f}")
    if found.label_only is not None:
        lines.append(f"  knowing the true label alone: {found.label_only:.3f}")
    if found.label_macro_f1 is not None:
        lines.append(f"  macro-F1 of the label, logistic regression: {found.label_macro_f1:.3f}")
    for name, each in found.uses.items():
        lines += use_lines(name, each)
    if not has_trials:
        lines.append("  No --trial was given: where windows overlap, these figures are too high.")
    if better := better_deal(found):
        lines.append(f"  {better}")
    lines.append(f"{found.verdict.upper()}." + (f" {found.reason}." if found.reason else ""))
    return lines


def use_lines(name: str, each: Mapping[str, UseFigures]) -> list[str]:
    """How well one attribute is read off the features, and off what stands beside them."""
    lines = []
    first = each["features"]
    for people in ("known", "unknown"):
        shown = {what: getattr(figures, people) for what, figures in each.items()}
        if (one := shown.pop("features")) is not None:
            beside = [f"{what} {other.score:.3f}" for what, other in shown.items()]
            beside.append(f"always the same answer {one.floor:.3f}")
            lines.append(
                f"  use {name}, {first.measure} of a linear probe, {people} people: {one.score:.3f} "
                f"[{one.lower:.3f}, {one.upper:.3f}]; {', '.join(beside)}"
            )
    if first.of_person:
        lines.append(f"  {name} is the same in all rows of a person: what hides the person hides it, too")
    return lines


def better_deal(found: FeatureAudit) -> str | None:
    """A sentence where releasing predictions tells the label as well and leaks no more; else None."""
    leak = found.worst[1].accuracy
    softmax = found.beside.get("softmax")
    for name, share in (
        ("softmax", None if softmax is None else softmax.accuracy),
        ("predicted label", found.predicted_only),
    ):
        if share is not None and share <= leak:
            return f"If the label is all that is wanted, release the {name} instead: it names {share:.3f} of the rows."
    return None
