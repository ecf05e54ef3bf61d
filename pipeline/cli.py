"""The command line. A verb that makes something prints one line on stdout, the id; talk goes to stderr.

Exit codes: 0 done, 1 refused or found wrong (the message says why), 2 not understood, 128 + n stopped by signal n.
What a verb needs is imported inside it, so that `--help` answers at once.
"""

import contextlib
import io
import os
import sys
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from prefline.data.errors import PreflineError
from prefline.data.wording import printable
from prefline.pipeline import cli_copies, cli_curve, cli_pipelines, cli_score, cli_stages, cli_store
from prefline.pipeline.catalogue import STAGES
from prefline.pipeline.interruption import PROCESS


class _Verbs(TyperGroup):
    """The group of all verbs: those of the stages, then the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add a verb for each stage of the catalogue, unless it is written out."""
        super().__init__(*args, **kwargs)
        written = self.commands
        self.commands = {name: written.get(name) or _StageVerb(name, help=STAGES[name].does) for name in STAGES}
        self.commands |= written

    def get_params(self, ctx: Any) -> Any:
        """Give flags that were not typed the value False rather than None.

        For None, typer builds a validator and imports pydantic, which takes longer than all the rest.
        """
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag and param.default is None:
                param.default = False
        return params


class _StageVerb(TyperCommand):
    """The verb of a stage, which is imported only if the verb is typed."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Give way to the real verb."""
        from prefline.pipeline.cli_catalogue import build_command

        return build_command(str(self.name)).make_context(*args, **kwargs)


app = typer.Typer(
    cls=_Verbs,
    help="Preferences in, a tuned language model out, one verifiable stage at a time.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_VERBS = {
    "ingest": cli_stages.ingest,
    "score": cli_score.score,
    "curve": cli_curve.curve,
    "plan": cli_pipelines.plan,
    "run": cli_pipelines.run,
    "schema": cli_pipelines.schema,
    "list": cli_store.list_artifacts,
    "show": cli_store.show,
    "why": cli_store.why,
    "graph": cli_store.graph,
    "verify": cli_store.verify,
    "name": cli_store.name,
    "unname": cli_store.unname,
    "export": cli_copies.export,
    "push": cli_copies.push,
    "pull": cli_copies.pull,
    "gc": cli_store.gc,
}
for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(metadata.version("prefline"))
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """What is said before a verb."""


def main() -> None:
    """Run the command line; what went wrong on purpose ends in one message, never a traceback."""
    _prepare_streams()
    PROCESS.watch()
    if sys.argv[1:2] and sys.argv[1].partition("=")[0] == "--store":
        print("prefline: --store goes after the verb: prefline list --store FOLDER", file=sys.stderr)
        sys.exit(2)
    try:
        app(prog_name="prefline")
    except PreflineError as error:
        _fail(str(error))
    except OSError as error:  # the machine's trouble rather than ours: a disk, a permission, a limit
        # Nearly all that fails without a name is what was printed.
        _fail(f"{error.filename or 'stdout'}: {error.strerror or error}")


def _prepare_streams() -> None:
    for descriptor in range(3):  # one that was closed would be given to the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test may have put something else there
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    if isinstance(sys.stderr, io.TextIOWrapper):
        # Without a buffer: on a full disk it would keep what cannot be written, and fail with it again at the exit.
        raw = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            cast("io.BufferedWriter", raw), sys.stderr.encoding, errors="replace", write_through=True
        )


def _fail(message: str) -> None:
    lines = (printable(line) for line in message.split("\n"))
    if sys.stderr is not None:  # closed by whoever called; print would take stdout instead
        with contextlib.suppress(OSError):
            print("prefline: " + "\n".join(lines), file=sys.stderr)
    sys.exit(1)
