"""Sections of an audit: attacks between their yardsticks, small groups, gates, releases side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keshi.auditing.controlled_rate import ControlledRate
from keshi.auditing.gates import GATES, GateResult
from keshi.auditing.release_attacks import LOWEST_RISK, ReleaseAttacks
from keshi.auditing.side_by_side import AuditOfRelease
from keshi.auditing.small_groups import SmallGroups
from keshi.reports.charts import number
from keshi.reports.interval_chart import intervals
from keshi.reports.report import Figure, Section, Table

MOST_SECRETS = 40  # rows of the chart; the table lists every column
MOST_GROUPS = 20  # rows of a table of groups; the JSON file holds all


def privacy_section(audit: AuditOfRelease) -> Section:
    """Every attack with its rates, risk, interval, n and verdict, and the same attack on the yardsticks."""
    attacks = audit.release.attacks
    if attacks is None:
        text = (
            "Inconclusive. No hold-out was given: real rows of the same population that the release never saw. Without "
            "them a guess that succeeds may owe it to what holds for everybody. Give --holdout."
        )
        return Section("What it gives away", text, highlights=[("inconclusive", "attacks", "no hold-out")])
    best = audit.holdout.attacks if audit.holdout else None
    ours, theirs = _by_name(attacks), _by_name(best)
    names = list(ours)
    rows = [
        (
            name,
            *_figures(ours[name]),
            *(_risk(_by_name(one.attacks).get(name)) for one in audit.tables[1:]),
        )
        for name in names
    ]
    heading = (
        "attack", "training rows", "held-out rows", "risk", "95 % interval", "n (training, held-out)", "finding",
        *(f"risk: {one.name}" for one in audit.tables[1:]),
    )  # fmt: skip
    table = Table(heading, rows, "Share of successful attacks, and the risk that is due to the release")
    alt = "Risk of every attack with its 95 % interval: " + "; ".join(
        f"{n} {number(_risk(ours[n]))}" for n in names
    )
    svg = intervals(
        names[:MOST_SECRETS],
        [_risk(ours[name]) for name in names[:MOST_SECRETS]],
        [ours[name].interval() if ours[name].is_conclusive else None for name in names[:MOST_SECRETS]],
        beside=[_risk(theirs.get(name)) for name in names[:MOST_SECRETS]],
        zero=0.0,
        axis_label="risk: 0 as safe as a stranger, 1 all is lost",
        alt=alt,
    )
    legend = [("the release, with its 95 % interval", "made", "dot")]
    if best is not None:
        legend.append(("real held-out rows as if they were the release", "real", "diamond"))
    caption = (
        "Success on people who were in, beyond success on people who were not. The dashed line is no leak."
    )
    figure = Figure(svg, caption, alt, table, legend, data={"attacks": attacks.to_json()})
    return Section(
        "What it gives away",
        _verdict_text(audit, attacks),
        [figure],
        [membership_table(audit)],
        _privacy_highlights(audit, attacks),
        exact=True,
    )


def verdict_sentence(audit: AuditOfRelease) -> str:
    """What the attacks found, in words, with a caution where the hold-out is unlike the training records."""
    attacks = audit.release.attacks
    if attacks is None:
        return "Inconclusive: no hold-out was given, so no attack has a control."
    if audit.leaks:
        said = f"LEAK, beyond chance: {'; '.join(audit.leaks)}."
    elif audit.doubts:
        said = "Inconclusive: nothing beyond chance was found that counts, and silence says nothing here."
    elif audit.verdict == "inconclusive":
        said = "Inconclusive: no attack succeeds beyond chance, but some had too few rows."
    else:
        said = "No leak found. That is no proof: a stronger attack may find one."
    return " ".join([said, *audit.doubts])


def _verdict_text(audit: AuditOfRelease, attacks: ReleaseAttacks) -> str:
    return (
        f"{verdict_sentence(audit)} The bar for a leak is so high that all attacks together raise a false alarm in 1 "
        f"of 100 audits of a harmless release. {attacks.synthetic_rows:,} synthetic records were searched."
    )


def _privacy_highlights(audit: AuditOfRelease, attacks: ReleaseAttacks) -> list[tuple[str, str, str]]:
    leaks = len(audit.leaks)
    beside = f"{leaks} finding{'s' * (leaks > 1)} beyond chance" if leaks else "no proof of safety"
    found: list[tuple[str, str, str]] = [(audit.verdict, "verdict of all attacks", beside)]
    check = audit.check
    if check is not None and check.differs:
        found.append(
            (number(check.auc), "AUC: hold-out against training records", "unlike; a leak may be that")
        )
    worst = max(
        (one for one in attacks.membership if one.is_conclusive), key=lambda one: one.auc, default=None
    )
    if worst is not None:
        low, high = worst.interval()
        beside = f"95 % interval {low:.3f} to {high:.3f}; 0.5 is blind, 1 certain"
        found.append((number(worst.auc), "AUC of the best membership attack", beside))
    rates = [("attribute inference", attacks.attribute.overall)] if attacks.attribute else []
    rates.append(("exact copies", attacks.copies.exact))
    for name, rate in rates:
        if rate.is_conclusive:
            low, high = rate.interval()
            beside = f"95 % interval {low:.3f} to {high:.3f}; {rate.train_n:,} attacked"
            value = number(rate.risk) if rate.risk > 0 else "about 0"  # below 0 it is chance
            found.append((value, f"risk of {name}", beside))
    return found


def membership_table(audit: AuditOfRelease) -> Table:
    """AUC and true positive rates of every membership attack on every table."""
    rows: list[tuple[Any, ...]] = []
    for one in audit.tables:
        for attack in one.attacks.membership if one.attacks else ():
            if not attack.rates:
                rows.append((attack.attack, one.name, None, attack.reason, None, None, f"{attack.members:,}"))
                continue
            low, high = attack.interval()
            shown = [
                rate.reason
                or "{} ({} to {})".format(number(rate.true_positive_rate), *map(number, rate.interval))
                for rate in attack.rates
            ]
            n = f"{attack.members:,}, {attack.nonmembers:,}"
            area = attack.auc if attack.is_conclusive else None
            rows.append(
                (attack.attack, one.name, area, attack.reason or f"{low:.3f} to {high:.3f}", *shown, n)
            )
    heading = (
        "score", "table", "AUC", "95 % interval", "true positives at 1 % false", "at 0.1 % false", "n (in, out)"
    )  # fmt: skip
    return Table(heading, rows, "Membership: was this record among the training records?")


def _by_name(attacks: ReleaseAttacks | None) -> dict[str, ControlledRate]:
    if attacks is None:
        return {}
    found = {}
    if attacks.attribute is not None:
        found["all secrets, guessed"] = attacks.attribute.overall
    if attacks.linkability is not None:
        found["linkability"] = attacks.linkability
    found |= {"exact copies": attacks.copies.exact, "near copies": attacks.copies.near}
    secrets = () if attacks.attribute is None else attacks.attribute.secrets
    return found | {
        f"{one.what}, guessed": one for one in sorted(secrets, key=lambda one: -one.interval()[0])
    }


def _risk(one: ControlledRate | None) -> float | None:
    counts = one is not None and one.is_conclusive and not one.nothing_to_guess
    return max(one.risk, LOWEST_RISK) if counts and one is not None else None


def _figures(one: ControlledRate) -> tuple[Any, ...]:
    n = f"{one.train_n:,}, {one.control_n:,}"
    if not one.is_conclusive or one.nothing_to_guess:
        why = one.reason or "nothing to guess: the control is right nearly always"
        return one.train_rate, one.control_rate, None, None, n, why
    low, high = one.interval()
    finding = "above chance" if low > 0 else "within chance"
    return one.train_rate, one.control_rate, one.risk, f"{low:.3f} to {high:.3f}", n, finding


def groups_section(groups: SmallGroups) -> Section:
    """Which small groups lost their share, and whom what is learnt from the release serves worst."""
    shares = [
        (
            f"{one.column} = {one.group}", one.real_rows, one.real_share, one.synthetic_share, one.ratio,
            one.reason or f"{one.ratio_interval[0]:.2f} to {one.ratio_interval[1]:.2f}",
            "erased" if one.is_erased else "",
        )
        for one in groups.shares
    ]  # fmt: skip
    heading = ("group", "real rows", "real share", "synthetic share", "ratio", "95 % interval", "finding")
    tables = [
        Table(
            heading, shares, f"Groups below 5 % of the real rows {_of_all(len(groups.shares))}", MOST_GROUPS
        )
    ]
    if groups.errors:
        errors = [
            (
                f"{one.column} = {one.group}", one.rows, one.error, f"{one.interval[0]:.3f} to {one.interval[1]:.3f}",
                one.real_error, one.excess, one.reason or "",
            )
            for one in groups.errors
        ]  # fmt: skip
        heading = (
            "group", "held-out rows", "errors, trained on synthetic", "95 % interval", "trained on real", "excess", ""
        )  # fmt: skip
        tables.append(
            Table(
                heading,
                errors,
                f"Errors of logistic regression by group, the largest excess first {_of_all(len(groups.errors))}",
                MOST_GROUPS,
            )
        )
    value = "inconclusive" if groups.erased_share is None else f"{groups.erased_share:.0%}"
    judged = f"of {groups.conclusive} that have enough rows"
    text = (
        "A group counts as erased where the 95 % interval of its share lies below half of the real one. Groups of "
        "fewer than 30 rows are listed as inconclusive."
    )
    return Section("Small groups", text, (), tables, [(value, "small groups erased", judged)], exact=True)


def _of_all(count: int) -> str:
    return (
        f"({MOST_GROUPS} of {count}; the JSON file holds all)" if count > MOST_GROUPS else f"({count} in all)"
    )


def side_by_side_section(audit: AuditOfRelease, *, cheapest: str = "independent columns") -> Section:
    """The main figures of the release, of a second one, and of both yardsticks, the `cheapest` one by its name."""
    heading = ("figure", *(one.name for one in audit.tables))
    rows: list[tuple[Any, ...]] = [(name, *values) for name, values in audit.summary()]
    rows.append(("rows", *(one.rows for one in audit.tables)))
    others = [one.attacks.verdict if one.attacks else "inconclusive" for one in audit.tables[1:]]
    rows.append(("verdict of the attacks", audit.verdict, *others))
    text = (
        f"Real held-out records are the best that is possible, {cheapest} the cheapest. A risk is 0 where "
        "training records are as safe as strangers; below 0 it is chance, and -1 stands for -1 or less. "
        + " ".join(audit.notes)
    )
    return Section(
        "Side by side",
        text.strip(),
        (),
        [Table(heading, rows, "The same figures for every table")],
        exact=True,
    )


def gates_section(gates: Sequence[GateResult]) -> Section:
    """What the pipeline asked for, and what came out."""
    rows = [
        (
            one.name,
            GATES[one.name],
            one.limit,
            one.value,
            None if one.interval is None else "{:.3f} to {:.3f}".format(*one.interval),
            one.verdict,
            one.reason,
        )
        for one in gates
    ]
    heading = ("gate", "what it is", "limit", "value", "95 % interval", "verdict", "reason")
    missed = [one.name for one in gates if one.verdict != "passed"]
    value = f"{len(gates) - len(missed)} of {len(gates)}"
    below = any(one.verdict == "passed" and "a leak was found" in one.reason for one in gates)
    beside = (
        f"not: {', '.join(missed)}" if missed else "yet a leak was found, below the limits" if below else ""
    )
    return Section(
        "Gates",
        "",
        (),
        [Table(heading, rows, "Limits of --fail-above")],
        [(value, "gates passed", beside)],
        exact=True,
    )
