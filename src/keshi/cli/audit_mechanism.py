"""keshi audit-mechanism: try to break the promise of a release, on made-up records, and say how far one gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from keshi.synthesis.mechanism_audit import MechanismAudit

LONG_TRIALS = 1_000_000
LONG_SECONDS = 3_600.0


def audit_mechanism(
    path: Path = typer.Argument(help="What `keshi embed` wrote, or a domain file (.toml)."),
    epsilon: float | None = typer.Option(
        None, "--epsilon", help="The claim, with a domain file. Default: 1. An embedding says its own."
    ),
    delta: float | None = typer.Option(
        None, "--delta", help="The claim, with a domain file. Default: 1e-05."
    ),
    preset: str | None = typer.Option(
        None, "--preset", help="With a domain file. Default: that of synthesize."
    ),
    relation: str | None = typer.Option(
        None, "--relation", help="With a domain file: replace-one. Default: add-or-remove."
    ),
    subject: str | None = typer.Option(
        None, "--subject", help="With a domain file: the column that says whose record it is."
    ),
    max_records: int | None = typer.Option(
        None, "--max-records", help="With a domain file: at most so many records of a subject are used."
    ),
    trials: int = typer.Option(100_000, "--trials", help="Releases of each of two neighbouring tables."),
    long: bool = typer.Option(
        False, "--long", help=f"{LONG_TRIALS:,} trials, and {LONG_SECONDS:g} CPU seconds for them."
    ),
    time_limit: float = typer.Option(
        60.0,
        "--time-limit",
        help="CPU seconds for the trials of each audit, checks not counted; one draw at least.",
    ),
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Run a release's own code on made-up neighbouring tables, and hold it against its promise.

    Your records are not read, and nothing of a budget is spent. Exit status 1 where the promise is broken. Where
    the domain has a table [learned], learning it is audited too, each against the claim of its own.

    Example: keshi audit-mechanism people.embedding
    """
    if long:
        trials, time_limit = LONG_TRIALS, max(time_limit, LONG_SECONDS)
    audit = run_audit(
        path,
        epsilon=epsilon,
        delta=delta,
        preset=preset,
        relation=relation,
        subject=subject,
        max_records=max_records,
        trials=trials,
        time_limit=time_limit,
    )
    learning = run_learning_audit(path, trials=trials, time_limit=time_limit)
    if as_json:
        found = audit.to_dict() | ({"learning": learning.to_dict()} if learning else {})
        print(json.dumps(found, indent=2))
    else:
        lines = audit_lines(audit)
        if learning is not None:
            lines = [
                "the release",
                *lines,
                "",
                "the learning of its domain",
                *audit_lines(learning),
            ]
        print("\n".join(lines))
    if "violated" in (audit.verdict, learning.verdict if learning is not None else ""):
        raise typer.Exit(1)


def run_audit(
    path: Path,
    *,
    epsilon: float | None,
    delta: float | None,
    preset: str | None,
    relation: str | None,
    subject: str | None,
    max_records: int | None,
    trials: int,
    time_limit: float,
) -> MechanismAudit:
    """Audit what stands at `path`."""
    from keshi._validate import positive, positive_integer
    from keshi.auditing.privacy_bounds import lower_bounds
    from keshi.cli.progress import progress_bar
    from keshi.privacy.unit import PrivacyUnit
    from keshi.records.domain import Domain
    from keshi.synthesis import mechanism_audit
    from keshi.synthesis.presets import preset_for
    from keshi.synthesis.private_embedding import PrivateEmbedding

    positive_integer("trials", trials)
    positive("time_limit", time_limit)
    given: dict[str, Any] = {
        "epsilon": epsilon,
        "delta": delta,
        "preset": preset,
        "relation": relation,
        "subject": subject,
        "max-records": max_records,
    }
    named = [f"--{name}" for name, value in given.items() if value is not None]
    with progress_bar("releases of two worlds") as advance:
        options: dict[str, Any] = {
            "bound": lower_bounds,
            "trials": trials,
            "time_limit": time_limit,
            "progress": lambda done, wanted: advance(done, wanted, f"{done:,} trials"),
        }
        if path.is_dir() or path.suffix.lower() != ".toml":
            if named:
                raise ValueError(
                    f"{path} is not a domain file and says its own claim; leave out {', '.join(named)}."
                )
            return mechanism_audit.audit_embedding(PrivateEmbedding.load(path), **options)
        domain = Domain.read(path)
        return mechanism_audit.audit_mechanism(
            domain,
            preset_for(domain, preset),
            epsilon=1.0 if epsilon is None else epsilon,
            delta=1e-5 if delta is None else delta,
            unit=PrivacyUnit(relation or "add-or-remove", subject, max_records),  # type: ignore[arg-type]
            **options,
        )


def run_learning_audit(path: Path, *, trials: int, time_limit: float) -> MechanismAudit | None:
    """Audit the learning of the domain at `path`, of a file or of an embedding; None where it was declared."""
    from keshi.auditing.privacy_bounds import lower_bounds
    from keshi.cli.progress import progress_bar
    from keshi.records.domain import Domain
    from keshi.synthesis.learning_audit import audit_learning
    from keshi.synthesis.learning_claim import LearningClaim
    from keshi.synthesis.private_embedding import PrivateEmbedding

    is_embedding = path.is_dir() or path.suffix.lower() != ".toml"
    domain = PrivateEmbedding.load(path).domain if is_embedding else Domain.read(path)
    if domain.learned is None:
        return None
    with progress_bar("learnings of two worlds") as advance:
        return audit_learning(
            LearningClaim.of(domain),
            bound=lower_bounds,
            trials=trials,
            time_limit=time_limit,
            progress=lambda done, wanted: advance(done, wanted, f"{done:,} trials"),
        )


def audit_lines(audit: MechanismAudit) -> list[str]:
    """The audit as plain lines: the checks, the bounds next to the claim, one verdict."""
    from keshi.privacy.statement import promised

    bounds = audit.bounds
    lines = [
        f"claim: ({promised(audit.epsilon)}, {promised(audit.delta)})-differential privacy for {audit.unit}"
    ]
    lines += [
        f"  {'ok    ' if check.passed else 'FAILED'}  {check.name} ({check.detail})" for check in audit.checks
    ]
    false_positive, false_negative = bounds.gaussian_rates
    upper, lower = bounds.epsilon_rates
    lines += [
        f"{bounds.n:,} trials of each of two neighbouring tables, {audit.coordinates} noisy values a trial "
        f"(one release of the whole plan has {audit.whole_coordinates:,}), {audit.seconds:.0f} seconds",
        f"  the tables need {audit.reached:.0%} of the claimed mu, so the attack cannot prove more than that",
        f"  epsilon is at least {bounds.gaussian_epsilon:.3g} of {audit.epsilon:g} for Gaussian noise (mu "
        f"{bounds.gaussian_mu:.4f}; false positives <= {false_positive:.4f}, false negatives <= "
        f"{false_negative:.4f})",
        f"  epsilon is at least {bounds.epsilon_bound:.3g} of {audit.epsilon:g} whatever the noise (false "
        f"positives <= {upper:.4f}, true positives >= {lower:.4f})",
        f"  all intervals together hold with probability 1 - {bounds.alpha:g}",
    ]
    if audit.failed:
        lines.append(
            f"VIOLATED: {len(audit.failed)} checks failed: {'; '.join(c.name for c in audit.failed)}."
        )
    elif audit.verdict == "violated":
        lines.append("VIOLATED: the attack tells neighbouring tables apart better than the claim allows.")
    elif audit.verdict == "inconclusive":
        lines.append(
            f"INCONCLUSIVE: every check passed, but {bounds.n:,} trials are too few to tell; at least "
            f"{bounds.minimum_n:,} are needed (--time-limit, --trials, --long)."
        )
    else:
        lines.append(
            "CONSISTENT: every check passed, and the attack stayed within the claim. That is no proof."
        )
    return lines
