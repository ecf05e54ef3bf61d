"""The command line. A verb that makes something prints one line on stdout, the id; talk goes to stderr.

Exit codes: 0 done, 1 refused or found wrong (the message says why), 2 not understood.
What a verb needs is imported inside it, so that `--help` answers at once.
"""

import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

from prefline.data.errors import PreflineError
from prefline.pipeline import cli_stages, cli_store


class _Verbs(TyperGroup):
    """The group of all verbs."""

    def get_params(self, ctx: Any) -> Any:
        """Give flags that were not typed the value False rather than None.

        For None, typer builds a validator and imports pydantic, which takes longer than all the rest.
        """
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag and param.default is None:
                param.default = False
        return params


app = typer.Typer(
    cls=_Verbs,
    help="Preferences in, a tuned language model out, one verifiable stage at a time.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _verb in (
    cli_stages.ingest,
    cli_store.show,
    cli_store.why,
    cli_store.graph,
    cli_store.verify,
    cli_store.name,
    cli_store.unname,
    cli_store.export,
    cli_store.push,
    cli_store.pull,
    cli_store.gc,
):
    app.command()(_verb)
app.command("list")(cli_store.list_artifacts)


def main() -> None:
    """Run the command line; what went wrong on purpose ends in one message, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test may have put something else there
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    try:
        app(prog_name="prefline")
    except PreflineError as error:
        print(f"prefline: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # the machine's trouble rather than ours: a disk, a permission, a limit
        print(f"prefline: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
