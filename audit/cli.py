"""The command line: the one module that prints, exits and catches what users can mend.

Exit status: 0 finished, gates passed; 1 a gate failed; 2 usage or spec; 3 an input is corrupt or
does not fit; 4 incomplete or inconclusive; 5 environment or resource; 6 refused for safety; 70 a
bug; 130 and 143 interrupted.
"""

import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from audit.commands import checking, comparing, model_cards, runs, specs, tools
from audit.console import Console, LogFormatter, console, unread
from audit.errors import AuditError
from audit.interrupts import Interrupted, interruptible
from audit.redaction import redacted

BUG, INTERRUPTED = 70, 130
HELP = """Audit diffusion models for social bias: `run` draws, reads, measures and reports.

Start with `init`, which writes a spec to fill in. What can follow a command is in
`bias-audit COMMAND --help`.

Exit status: 0 finished, gates passed; 1 a gate failed; 2 usage or spec; 3 an input is corrupt or
does not fit; 4 incomplete or inconclusive; 5 environment or resource; 6 refused for safety; 70 a
bug; 130 and 143 interrupted. These flags may stand anywhere:
"""
FLAGS = ("--json", "--quiet", "-q", "--verbose", "-v", "-vv", "--no-color")
"""May stand anywhere on the line."""


class Commands(TyperGroup):
    """Runs a command and turns what it raises into a message and an exit status."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let the common flags stand anywhere."""
        end = args.index("--") if "--" in args else len(args)
        common = [arg for arg in args[:end] if arg in FLAGS]
        others = [arg for arg in args[:end] if arg not in FLAGS]
        return super().parse_args(ctx, common + others + args[end:])

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with interruptible():
                return super().invoke(ctx)
        except AuditError as error:
            console(ctx).error(str(error), error.status)
            if console(ctx).verbose > 1:
                traceback.print_exc()
            raise typer.Exit(error.status) from None
        except KeyboardInterrupt as stop:
            status = stop.status if isinstance(stop, Interrupted) else INTERRUPTED
            console(ctx).interrupted(status)
            raise typer.Exit(status) from None
        except BrokenPipeError:  # in help, which is not the console's
            unread(sys.stdout)
            raise typer.Exit(0) from None
        except OSError as error:
            console(ctx).error(f"{error.filename or 'system'}: {error.strerror or error}", 5)
            raise typer.Exit(5) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as bug:
            if type(bug).__module__.startswith("typer."):
                raise  # a usage error: typer says what is wrong and exits with 2
            _report_bug(bug, console(ctx))


def _report_bug(bug: Exception, speaker: Console) -> NoReturn:
    trace = redacted("".join(traceback.format_exception(bug)))
    path = Path(".bias-audit") / "crashes" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(trace, "utf-8")
        kept = f"the traceback is in {path}"
    except OSError:
        kept = "the traceback could not be saved:" + "".join(f"\n  {t}" for t in trace.split("\n"))
    speaker.error(f"this is a bug in bias-audit: {type(bug).__name__}: {bug}; {kept}", BUG)
    raise typer.Exit(BUG) from None


app = typer.Typer(
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bias-audit {version('bias-audit')}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="More.")] = 0,
    no_color: Annotated[bool, typer.Option("--no-color", help="Plain text.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Audit diffusion models for social bias. These flags may stand anywhere."""
    if no_color:
        os.environ["NO_COLOR"] = "1"
    ctx.obj = Console(as_json=as_json, quiet=quiet, verbose=verbose)


for name, command in (
    ("run", runs.run),
    ("validate", specs.validate),
    ("plan", specs.plan),
    ("list", specs.list_),
    ("schema", specs.schema),
    ("init", specs.init),
    ("classify", runs.classify),
    ("measure", runs.measure),
    ("report", runs.report),
    ("check", checking.check),
    ("card", model_cards.card),
    ("compare", comparing.compare),
    ("discover", tools.discover),
    ("calibrate", tools.calibrate),
    ("doctor", tools.doctor),
):
    app.command(name)(command)


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:  # what writes the records that nobody else asked for
        logging.lastResort.setFormatter(LogFormatter())
    app(None if args is None else list(args))
