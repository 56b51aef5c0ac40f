"""What the commands that call a console have in common.

Typer knows no dependencies of commands. `with_api` is one: it gives a command its first argument and three options.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, cast

import typer

from deploy.local.errors import StackError
from services.cli.client import ManagementClient
from services.cli.output import Json, as_json, as_table, heading, in_words, out

OrganizationArgument = Annotated[str, typer.Argument(metavar="ORG", help="The organization's ID.")]
OwnerAccount = Annotated[str | None, typer.Option("--account", help="Of this account.")]
OwnerOrganization = Annotated[str | None, typer.Option("--org", help="Of this organization.")]


@dataclass(frozen=True)
class Api:
    """The management API as a command uses it: which console, by which key, and the form of the answer."""

    json: bool
    url: str | None
    key: str | None

    @cached_property
    def _client(self) -> ManagementClient:
        return ManagementClient.of(self.url, self.key)

    @property
    def address(self) -> str:
        """Of the console. Raises StackError as `call` does."""
        return self._client.url

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The answer's JSON. Raises StackError as `ManagementClient` does."""
        return self._client.call(method, path, body, headers)

    def rows(self, path: str) -> list[Any]:
        """A list in full. Raises StackError as `call` does."""
        return self._client.rows(path)

    def pages(self, path: str) -> Iterator[list[Any]]:
        """The pages of a list. Raises StackError as `call` does."""
        return self._client.pages(path)

    def show(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Calls and prints the answer: as JSON, as a table, or one field a line. Raises StackError as `call` does."""
        self.print(self.call(method, path, body))

    def show_all(self, path: str) -> None:
        """Prints a list in full. Raises StackError as `call` does."""
        self.print(self.rows(path))

    def print(self, content: Any) -> None:
        """Prints an answer: as JSON, as a table, or one field a line."""
        if self.json:
            as_json(content)
        elif isinstance(content, list):
            as_table(content, "none yet")
        else:
            for name, value in content.items():
                out.print(f"{heading(name):12} {in_words(name, value)}", markup=False)


def with_api(command: Callable[..., None]) -> Callable[..., None]:
    """Calls a command with a `Api` in front, made of ``--json``, ``--url`` and ``--key``, which it gains."""

    def run(*, json: bool, url: str | None, key: str | None, **arguments: Any) -> None:
        command(Api(json, url, key), **arguments)

    _api, *own = inspect.signature(command).parameters.values()
    parameters = [*own, *inspect.signature(_options).parameters.values()]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    cast("Any", run).__signature__ = inspect.Signature(parameters)
    return run


def _options(
    json: Json = False,
    url: Annotated[str | None, typer.Option(help="The console of another Sluice.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", envvar="SLUICE_KEY", help="Operator token, or an API key with the scope manage."),
    ] = None,
) -> None:
    """What `with_api` adds."""


def owner_path(account_id: str | None, organization_id: str | None) -> str:
    """The API's path of the one that was named.

    Raises:
        StackError: none was, or both.
    """
    if (account_id is None) == (organization_id is None):
        raise StackError("name the owner: --account ID or --org ID")
    return f"/api/accounts/{account_id}" if account_id else f"/api/organizations/{organization_id}"
