"""``python -m services.cli``: all commands, and the one place where errors become an exit code."""

import logging
import sys

import typer

from deploy.local.errors import StackError
from services.cli.accounts import account, key, login, logout, whoami
from services.cli.audit import audit
from services.cli.byok import byok
from services.cli.checks import bench, test
from services.cli.contracts import contracts
from services.cli.debug import debug
from services.cli.demo import demo
from services.cli.money import balance, credit, usage
from services.cli.operator import audit_trail, secrets, signing_key, vault
from services.cli.organizations import organization
from services.cli.output import fail
from services.cli.policies import policy
from services.cli.run import down, status, up

app = typer.Typer(
    name="sluice",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sluice: an event-driven AI gateway.",
)
_pass_on = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command()(demo)
app.command()(up)
app.command()(down)
app.command()(status)
app.command()(contracts)
app.command(context_settings=_pass_on)(test)
app.command(context_settings=_pass_on)(bench)
app.command(context_settings=_pass_on)(debug)
app.add_typer(account, name="account")
app.add_typer(key, name="key")
app.add_typer(organization, name="org")
app.add_typer(policy, name="policy")
app.add_typer(byok, name="byok")
app.add_typer(credit, name="credit")
app.command()(balance)
app.command()(usage)
app.command()(audit)
app.add_typer(vault, name="vault")
app.add_typer(signing_key, name="signing-key")
app.command("audit-trail")(audit_trail)
app.command()(secrets)
app.command()(login)
app.command()(logout)
app.command()(whoami)


def main() -> None:
    """Runs a command; exit 1 with a message where it fails."""
    # Its warnings while a broker starts are not for users; what matters becomes a StackError.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        app()
    except StackError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except KeyboardInterrupt:
        sys.exit(130)


main()
