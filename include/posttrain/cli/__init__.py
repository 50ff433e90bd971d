"""The command line: each stage as a command, and commands on runs.

Exit status 0, 1 (failed: one message on standard error; the traceback with --debug or POSTTRAIN_DEBUG=1), 2 (wrong use).
Results go to standard output, progress and log to standard error.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import tempfile
from typing import Annotated

import typer

from posttrain.cli import (
    books,
    collect,
    compare,
    convert,
    data,
    decontaminate,
    doctor,
    evals,
    model,
    options,
    prepare,
    refresh,
    review,
    runs,
    sources,
    tokenize,
    verify,
)
from posttrain.storage import workspace_url

CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}

STAGE_COMMANDS = {
    "collect": collect.collect, "convert": convert.convert, "filter": data.filter_rows, "improve": data.improve,
    "synthesize": data.synthesize, "index_evals": evals.index_evals, "decontaminate": decontaminate.decontaminate,
    "review": review.review, "mix": data.mix,
    "sft": model.sft, "preferences": model.preferences, "dpo": model.dpo, "rlvr": model.rlvr, "evaluate": model.evaluate,
    "gate": model.gate, "release": model.release, "verify": verify.verify,
}
RUN_COMMANDS = {"run": runs.run, "runs": runs.runs, "show": runs.show, "report": runs.report, "lineage": runs.lineage}
DATA_COMMANDS = {
    "tokenize": tokenize.tokenize, "render": tokenize.render,
    "sources": sources.sources,
    "compare": compare.compare, "doctor": doctor.doctor, "prepare": prepare.prepare,
    "sample": prepare.sample,
    "books": books.books, "diff": books.diff, "refresh-evals": refresh.refresh_evals,
}
MANY = ("--in", "--train", "--focus", "--where", "--option", "--set")
"""Options that take several values: `--train A B` is `--train A --train B`. In `synthesize`, `--rows` is one of them."""

app = typer.Typer(
    name="posttrain", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="The Tülu 3 post-training recipe, stage by stage. The workspace is ./workspace or POSTTRAIN_WORKSPACE.",
)
for name, command in STAGE_COMMANDS.items():
    app.command(name, rich_help_panel=options.STAGE_PANEL)(command)
for name, command in DATA_COMMANDS.items():
    app.command(name, rich_help_panel=options.DATA_PANEL)(command)
app.command("index-evals", hidden=True)(evals.index_evals)  # the usual spelling of a command; stages are named as in a run
for name, command in RUN_COMMANDS.items():
    app.command(name, rich_help_panel=options.RUN_PANEL)(command)


@app.callback()
def settings(
    debug: Annotated[bool, typer.Option("--debug", envvar="POSTTRAIN_DEBUG", help="Show the traceback of a failure.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, stream=sys.stderr,
                        format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", force=True)
    for chatty in ("httpx", "httpx2", "httpcore", "urllib3", "fsspec", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def spread_values(arguments: list[str]) -> list[str]:
    """Repeat an option of MANY before each value that follows it: `--in a b --out c` → `--in a --in b --out c`."""
    many = (*MANY, "--rows") if "synthesize" in arguments else MANY
    spread: list[str] = []
    option, values = "", 0
    for argument in arguments:
        if argument.startswith("-"):
            option, values = (argument if argument in many else ""), 0
            spread.append(argument)
            continue
        if option and values:
            spread.append(option)
        spread.append(argument)
        values += 1
    return spread


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit status."""
    arguments = spread_values(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=arguments, prog_name="python -m posttrain")
    except SystemExit as ended:
        exit_ = ended.__context__  # typer turns Ctrl-C into the exit status 130, without a word
        if exit_ is not None and isinstance(exit_.__cause__, KeyboardInterrupt):
            typer.echo("interrupted; the same command goes on from what is finished", err=True)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:  # the last line of defence: whatever a stage raises becomes one message
        if "--debug" in arguments or os.environ.get("POSTTRAIN_DEBUG"):
            raise
        typer.echo(f"error: {describe_error(error)}", err=True)
        raise SystemExit(1) from None


def describe_error(error: Exception) -> str:
    """The message of an error; its kind as well where the message alone says too little."""
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
        place = f"{error.filename}: " if error.filename else ""
        return (f"{place}{os.strerror(error.errno)}; the workspace is {workspace_url()}, temporary files lie in "
                f"{tempfile.gettempdir()}; the same command goes on from what is finished")
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    known = type(error).__module__.startswith("posttrain") or isinstance(error, (FileNotFoundError, FileExistsError))
    return text if text and known else f"{type(error).__name__}: {text or 'no message'} (--debug shows where)"
