"""A report as Markdown: the texts, key figures and tables of the page, for a repository or a pull request."""

from __future__ import annotations

from typing import Any

from keshi.reports.report import Report, Table, shown


def report_markdown(report: Report) -> str:
    """The same figures as the page; pictures are given as the tables behind them."""
    lines = [f"# {_inline(report.title)}", ""]
    if report.stamp:
        lines += [f"**Private.** This page {report.stamp}.", ""]
    promised = report.statement or ["No privacy guarantee was stated for what this page describes."]
    lines += ["## What is promised", "", *(_inline(sentence) + "\n" for sentence in promised)]
    if report.found:
        lines += ["## What was found", "", _inline(report.found), ""]
    if report.not_protected:
        lines += [
            "## What this does not protect",
            "",
            *(f"- {_inline(one)}" for one in report.not_protected),
            "",
        ]
    for section in report.sections:
        lines += [f"## {_inline(section.title)}", ""]
        if section.text:
            lines += [_inline(section.text), ""]
        for value, what, beside in section.highlights:
            lines.append(
                f"- **{_inline(value)}** {_inline(what)}" + (f" ({_inline(beside)})" if beside else "")
            )
        lines += [""] if section.highlights else []
        for figure in section.figures:
            lines += [_inline(figure.caption), ""]
            lines += _table(figure.table) if figure.table else []
        for table in section.tables:
            lines += _table(table)
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    lines = [f"*{_inline(table.caption)}*", ""] if table.caption else []
    lines.append("| " + " | ".join(_inline(name) for name in table.columns) + " |")
    lines.append("|" + "---|" * len(table.columns))
    lines += ["| " + " | ".join(_inline(value) for value in row) + " |" for row in table.shown_rows]
    return [*lines, ""]


def _inline(value: Any) -> str:
    """Text that ends no cell, opens no tag and starts no link, whatever names and categories hold."""
    text = " ".join(shown(value).split())
    for mark in "\\`*_[]|":
        text = text.replace(mark, "\\" + mark)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
