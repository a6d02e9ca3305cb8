"""`purify`: the command line. Each command is a module here, and calls one library function.

purify --help
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from purify.errors import PurifyError
from purify_cli import (
    clean,
    demo,
    diff,
    doctor,
    evaluate,
    export,
    generate,
    import_,
    inspect,
    iterate,
    publish,
    report,
    schema,
    score,
    stats,
    toy,
    train,
    verify,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"purify {version('purify-trajectories')}")
        raise typer.Exit


app = typer.Typer(
    name="purify",
    help="Purify tool-using rollouts: replace failed calls by the model's own later corrections, with provenance.\n\n"
    "Rollouts come from a model (generate) or a dump (import). Each stage reads one dataset and writes the next: "
    "clean, restore, score; train learns from one, evaluate measures what was learned, iterate does it all in rounds. "
    "Look at any dataset with inspect, stats, report, diff, verify; hand it on with export, publish.\n\n"
    "Exit codes: 0 done, 1 findings (verify, doctor, publish) or a difference (diff), 2 bad input or bad use, "
    "130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("generate")(generate.command)
app.command("import")(import_.command)
app.command("clean")(clean.command)
app.command("restore")(clean.restore_command)
app.command("score")(score.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("iterate")(iterate.command)
app.command("inspect")(inspect.command)
app.command("stats")(stats.command)
app.command("report")(report.command)
app.command("diff")(diff.command)
app.command("export")(export.command)
app.command("publish")(publish.command)
app.command("verify")(verify.command)
app.command("schema")(schema.command)
app.command("doctor")(doctor.command)
app.command("demo")(demo.command)
app.command("toy")(toy.command)


def run() -> None:
    """Entry point. Exit codes: 0 done, 1 findings or a difference, 2 bad input or bad use, 130 interrupted."""
    try:
        app()
    except PurifyError as error:
        print(f"purify: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing is wrong, and nothing more can be said.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        print(f"purify: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
