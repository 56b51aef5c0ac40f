"""The CLI's side of the management API, and where it keeps a login."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.home import write_private
from services.cli.running import running


class ManagementClient:
    """Calls the console of a Sluice."""

    def __init__(self, url: str, key: str) -> None:
        """
        Args:
            key: the operator token, or an API key with the scope ``manage``.
        """
        import httpx  # It takes a third of a command's start, and most commands end before they call.

        self._failures = (httpx.HTTPError, httpx.InvalidURL)
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)
        self._next: str | None = None
        """Where the list of the last answer goes on."""

    @property
    def url(self) -> str:
        """Of the console, without a slash at its end."""
        return str(self._http.base_url).rstrip("/")

    @classmethod
    def of(cls, url: str | None, key: str | None) -> "ManagementClient":
        """The console at ``url``, or that of the Sluice that runs from this folder, or the one that was logged in to.

        Raises:
            StackError: none of them, or a URL came without a key.
        """
        login = Login.read()
        if url:
            key = key or (login.key if login and login.url == url else None)
            if not key:
                raise StackError("--url needs --key (or SLUICE_KEY), or a login: `./sluice login --url ...`")
            return cls(url, key)
        try:
            home, state = running()
        except StackError:
            if login is None:
                raise
            return cls(login.url, login.key)
        return cls(state.console_url, key or home.secret("operator-token"))

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The answer's JSON.

        Raises:
            StackError: the console refused (its message), or does not answer.
        """
        try:
            response = self._http.request(method, path, json=body, headers=headers)
            content = response.json()
        except self._failures:
            raise StackError(f"the console at {self._http.base_url} does not answer") from None
        except ValueError:
            raise StackError(f"what answers at {self._http.base_url} is no Sluice console") from None
        if response.is_error:
            raise StackError(str(content.get("detail", "the console refused")))
        self._next = response.links.get("next", {}).get("url")
        return content

    def rows(self, path: str) -> list[Any]:
        """A list in full, page by page. Raises StackError as `call` does."""
        return [row for page in self.pages(path) for row in page]

    def pages(self, path: str) -> Iterator[list[Any]]:
        """The pages of a list. Raises StackError as `call` does."""
        following: str | None = path
        while following:
            yield self.call("GET", following)
            following = self._next


class Login:
    """The console and key that ``./sluice login`` keeps, readable by their owner alone."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    @staticmethod
    def file() -> Path:
        """Where it is kept."""
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(base) / "sluice" / "login.json"

    @classmethod
    def read(cls) -> "Login | None":
        """The login, if there is one."""
        try:
            content = json.loads(cls.file().read_text())
            return cls(content["url"], content["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self) -> None:
        """Keeps it until `forget`."""
        self.file().parent.mkdir(parents=True, exist_ok=True)
        write_private(self.file(), json.dumps({"url": self.url, "key": self.key}))

    @classmethod
    def forget(cls) -> None:
        """There is none any more."""
        cls.file().unlink(missing_ok=True)
