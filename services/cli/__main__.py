"""``python -m services.cli``: the one place where a command is found, and where errors become an exit code."""

import logging
import sys
from typing import Any

import typer

from deploy.local.errors import StackError
from services.cli.commands import COMMANDS, Command
from services.cli.output import fail

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
_PASS_HELP_ON: dict[str, Any] = {"help_option_names": []}


def application(chosen: str | None) -> typer.Typer:
    """The command that was chosen; for any other word, help and what is near, all of them by name alone."""
    app = typer.Typer(
        name="sluice",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Sluice: an event-driven AI gateway.",
    )
    # Without a callback a single command would be taken for the program itself.
    app.callback()(lambda: None)
    found = [command for command in COMMANDS if command.name == chosen]
    for command in found or COMMANDS:
        _add(app, command, named_only=not found)
    return app


def _add(app: typer.Typer, command: Command, *, named_only: bool) -> None:
    loaded = None if named_only else command.load()
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=command.name)
    else:
        settings = (_PASS_ON if command.passes_on else {}) | (_PASS_HELP_ON if command.passes_help_on else {})
        app.command(command.name, context_settings=settings, help=None if loaded else command.help)(
            loaded or (lambda: None)
        )


def main() -> None:
    """Runs a command; exit 1 with a message where it fails."""
    # Its warnings while a broker starts are not for users; what matters becomes a StackError.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        application(next((word for word in sys.argv[1:] if not word.startswith("-")), None))(prog_name="./sluice")
    except StackError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
