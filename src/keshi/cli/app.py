"""The keshi command: registers one thin file a verb, and turns errors into one message and exit status 2.

Verb modules import nothing heavy at module level, so that help and `inspect` start without torch.
"""

from __future__ import annotations

import os
import sys

import typer

from keshi.cli.audit import audit
from keshi.cli.audit_mechanism import audit_mechanism
from keshi.cli.censor import censor
from keshi.cli.demo import demo
from keshi.cli.domain import domain
from keshi.cli.embed import embed
from keshi.cli.inspect import inspect
from keshi.cli.ledger import ledger_app
from keshi.cli.sample import sample
from keshi.cli.sweep import sweep
from keshi.cli.synthesize import synthesize
from keshi.cli.train import train
from keshi.cli.windows import windows
from keshi.errors import KeshiError

INTERRUPTED = 130  # exit status of a program that Ctrl-C ended: 128 + SIGINT

app = typer.Typer(
    name="keshi",
    help="Release data, or representations of data, without releasing the people in them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if show:
        from keshi import __version__

        print(__version__)
        raise typer.Exit


for verb in (synthesize, domain, embed, train, sample, windows, censor, sweep, audit, inspect, demo):
    app.command()(verb)
app.command("audit-mechanism")(audit_mechanism)
app.add_typer(ledger_app, name="ledger")


def main() -> None:
    """Run the command line; exit 0 done, 1 an audit threshold was missed, 2 wrong input."""
    try:
        try:
            app()
        finally:
            _flush()
    except (KeshiError, ValueError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this, and says nothing
            print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _flush() -> None:
    """Write out what was printed, while a full disk behind `> file` can still become one message and status 2."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # or the interpreter tries again at its end, and complains
        raise


if __name__ == "__main__":
    main()
