"""The owner's report of a synthetic table: real against synthetic, utility between its yardsticks, the statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keshi.reports.report import Report, Section
from keshi.reports.sections import (
    learning_curves_section,
    marginals_section,
    pairs_section,
    settings_section,
    utility_section,
)

if TYPE_CHECKING:
    from keshi.auditing.table_audit import TableAudit

NOT_PROTECTED = (
    "Facts about the population: what holds for everyone can be learnt without any one person.",
    "Timing and memory of the computer that made this, and a curator who looks at the records.",
    "What is declared public in domain.toml: names, types, bounds, bins and categories.",
)


def synthesis_sections(
    audit: TableAudit,
    learning_curve: Sequence[Mapping[str, float]],
    *,
    settings: Mapping[str, Any],
    cost: Mapping[str, Any],
) -> list[Section]:
    """The sections of a synthetic table's report.

    Args:
        audit: What was measured.
        learning_curve: Points {step, loss, noise_floor, effective_size}.
        settings, cost: For the last section.
    """
    sections = []
    if audit.utility is not None:
        sections.append(utility_section(audit.utility, ceiling=audit.ceiling, floor=audit.floor))
    sections += [
        marginals_section(audit.fidelity),
        pairs_section(audit.fidelity, independent=audit.independent, holdout=audit.holdout),
    ]
    sections.append(training_section(learning_curve, preset=str(settings["preset"])))
    sections.append(settings_section(settings, cost=cost))
    return sections


def training_section(learning_curve: Sequence[Mapping[str, float]], *, preset: str) -> Section:
    """How the generator came near the embedding; points {step, loss, noise_floor, effective_size}, of that preset."""
    steps = [point["step"] for point in learning_curve]
    curves = [
        {"name": name, "x": steps, "y": [point[key] for point in learning_curve]}
        for name, key in (("loss", "loss"), ("what noise alone gives", "noise_floor"))
    ]
    sizes = [point["effective_size"] for point in learning_curve]
    text = (
        "The generator's distance from the private embedding. Below the second line it would fit the noise."
    )
    if preset == "keshi":
        text = (
            f"The mean squared distance of the generator from {sizes[-1]:,.0f} measured counts, each in units of its "
            "noise. Below the second line it would fit the noise, so there the training stops."
        )
    elif preset == "paper":
        text += (
            f" The critic's weights looked at {sizes[0]:.0f} frequencies at first and {sizes[-1]:.0f} at the end "
            "(effective sample size)."
        )
    return learning_curves_section(curves, title="Training", text=text, log_y=True)


def synthesis_report(
    title: str, sentence: str, sections: Sequence[Section], *, notes: Sequence[str] = ()
) -> Report:
    """The owner's page: the promise first, then what was measured."""
    return Report(
        title=title,
        audience="private",
        statement=[sentence, *notes],
        not_protected=NOT_PROTECTED,
        sections=sections,
    )
