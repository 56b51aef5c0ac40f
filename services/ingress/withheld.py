"""Prompts that are not on the log before their requests have a route."""

from collections.abc import Awaitable, Callable

from contracts.prompts import PromptSubmitted
from contracts.record import Refusal
from libs.runtime.background import Tasks
from services.ingress.body import Body
from services.ingress.core.errors import IngressError


class Withheld:
    """One prompt; its body counts until the log has it, or until its request has ended without it."""

    def __init__(
        self,
        prompt: PromptSubmitted,
        body: Body,
        publish: Callable[[PromptSubmitted], Awaitable[None]],
        tasks: Tasks,
    ) -> None:
        """
        Args:
            publish: returns when the broker has it; may raise IngressError.
        """
        self._prompt: PromptSubmitted | None = prompt
        self._body = body
        self._publish = publish
        self._tasks = tasks

    def publish(self, on_failed: Callable[[Refusal], None]) -> None:
        """Publishes it, soon. Called again it does nothing."""
        prompt, self._prompt = self._prompt, None
        if prompt:
            self._tasks.spawn(self._publish_now(prompt, on_failed))

    def drop(self) -> None:
        """Nobody will want it."""
        if self._prompt:
            self._prompt = None
            self._body.release()

    async def _publish_now(self, prompt: PromptSubmitted, on_failed: Callable[[Refusal], None]) -> None:
        try:
            await self._publish(prompt)
        except IngressError as error:
            on_failed(error.refusal)
        finally:
            self._body.release()
