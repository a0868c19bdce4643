"""The owner's report of synthetic images or windows: pictures, traces, class means, and what they are good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from keshi.records.domain import Domain
    from keshi.reports.report import Section
    from keshi.synthesis.trained_generator import Generator

MOST_RECORDS = 4_000  # real ones that the report looks at, drawn at random from all


def array_report(
    table: Path, holdout: Path | None, generator: Generator, *, rows: int, cost: dict[str, float], seed: int
) -> list[Section]:
    """Sections on every column of images or windows; other columns than the label are not looked at."""
    from keshi.auditing.array_utility import LOGISTIC, MLP, train_and_test
    from keshi.cli.some_records import some_records
    from keshi.cli.synthesize import report_settings
    from keshi.records.arrays import array_bounds
    from keshi.records.column_kinds import Image
    from keshi.reports import array_section
    from keshi.reports.sections import settings_section
    from keshi.reports.synthesis import training_section

    domain = generator.domain
    real, _ = some_records(table, domain, seed=seed, most=MOST_RECORDS)
    made = generator.sample(min(rows, MOST_RECORDS), seed=seed)
    sections: list[Section] = []
    if holdout is not None and domain.label is not None and len(real):
        held, _ = some_records(holdout, domain, seed=seed, most=MOST_RECORDS)
        name = next(iter(domain.array_columns))
        scores: list[Any] = [
            train_and_test(
                *_stacked(one, name, domain),
                *_stacked(held, name, domain),
                classifiers=(LOGISTIC, MLP),
                seed=seed,
            )
            for one in (made, real)
        ]
        sections.append(array_section.array_utility_section(*scores))
    for name, column in domain.array_columns.items():
        of_real, of_made = (_by_class(one, name, domain) for one in (real, made))
        if isinstance(column, Image):
            sections.append(
                array_section.pictures_section(name, of_real, of_made, bounds=array_bounds(column))
            )
        else:
            sections.append(array_section.traces_section(name, of_real, of_made, rate=column.rate))
        distances = _mean_distances(of_real, of_made, array_bounds(column))
        sections.append(array_section.class_means_section(name, distances))
    if generator.learning_curve[-1].step > 1:  # a mixture of arrays is fitted at once
        points = [vars(point) for point in generator.learning_curve]
        sections.append(training_section(points, preset=generator.preset))
    sections.append(settings_section(report_settings(generator, seed=seed), cost=cost))
    return sections


def _labels(table: pd.DataFrame, domain: Domain) -> Any:
    import numpy as np

    from keshi.records.column_kinds import category_key

    if domain.label is None:
        return np.full(len(table), "all")
    return np.array(["missing" if value is None else category_key(value) for value in table[domain.label]])


def _stacked(table: pd.DataFrame, name: str, domain: Domain) -> tuple[Any, Any]:
    import numpy as np

    shape = domain.array_columns[name].shape
    return np.stack([np.asarray(value).reshape(shape) for value in table[name]]), _labels(table, domain)


def _by_class(table: pd.DataFrame, name: str, domain: Domain) -> dict[str, Any]:
    import numpy as np

    if not len(table):
        return {}
    arrays, labels = _stacked(table, name, domain)
    return {str(label): arrays[labels == label] for label in np.unique(labels)}


def _mean_distances(
    real: dict[str, Any], made: dict[str, Any], bounds: Any
) -> list[tuple[str, int, float, float]]:
    import numpy as np

    reach = bounds[1] - bounds[0]

    def apart(first: Any, second: Any) -> float:
        if not len(first) or not len(second):
            return float("nan")
        difference = (first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)) / reach
        return float(np.sqrt(np.square(difference).mean()))

    return [
        (label, len(own), apart(own, made.get(label, ())), apart(own[::2], own[1::2]))
        for label, own in real.items()
    ]
