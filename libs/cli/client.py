"""The CLI's side of the management API."""

from typing import Any

import httpx

from libs.cli.run import running
from libs.devstack.errors import StackError


class ManagementClient:
    """Calls the console of a running stack."""

    def __init__(self, url: str, operator_token: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {operator_token}"}, timeout=30, trust_env=False
        )

    @classmethod
    def of(cls, url: str | None, token: str | None) -> "ManagementClient":
        """The console at ``url``, or that of the Sluice that runs from this folder.

        Raises:
            StackError: none runs, or a URL came without a token.
        """
        if url:
            if not token:
                raise StackError("--url needs --key, the operator token of that Sluice")
            return cls(url, token)
        home, state = running()
        return cls(state.console_url, home.secret("operator-token"))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON.

        Raises:
            StackError: the console refused, in its words, or does not answer.
        """
        try:
            response = self._http.request(method, path, json=body)
            content = response.json()
        except httpx.HTTPError:
            raise StackError(f"the console at {self._http.base_url} does not answer") from None
        except ValueError:
            raise StackError(f"what answers at {self._http.base_url} is no Sluice console") from None
        if response.is_error:
            raise StackError(str(content.get("error", {}).get("message", "the console refused")))
        return content
