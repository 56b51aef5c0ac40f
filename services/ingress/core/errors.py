"""What the ingress itself refuses. One hierarchy; each error is its status and the client's words."""

from contracts.record import Refusal


class IngressError(Exception):
    """Refused before it reached the log: no outcome, no ledger entry."""

    status = 400

    def __init__(
        self, message: str, *, retry_after_s: int | None = None, code: str | None = None, rule: str | None = None
    ) -> None:
        """
        Args:
            code: the stable name of the cause, by which clients decide what to do.
            rule: of a policy, that refuses.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.code = code
        self.rule = rule

    @property
    def refusal(self) -> Refusal:
        """The error as a record has it."""
        named = {"error_code": self.code, "rule": self.rule}
        metadata: dict[str, str | int | float | bool | None] = {name: value for name, value in named.items() if value}
        return Refusal(status=self.status, message=str(self), retry_after_s=self.retry_after_s, metadata=metadata)


class BadRequest(IngressError):
    """The body or a header is wrong."""


class Unauthorized(IngressError):
    """No key where one is needed, or one that is not valid."""

    status = 401


class Forbidden(IngressError):
    """The key is valid, but not for this."""

    status = 403


class TooSlow(IngressError):
    """The body does not come."""

    status = 408


class NotFound(IngressError):
    """There is nothing of this name."""

    status = 404


class TooLarge(IngressError):
    """The body is over the limit."""

    status = 413


class WrongContentType(IngressError):
    """Not JSON, or packed."""

    status = 415


class Unprocessable(IngressError):
    """The request contradicts an earlier one."""

    status = 422


class RateLimited(IngressError):
    """The client has its share already."""

    status = 429


class Unavailable(IngressError):
    """The log is away, or this ingress is not ready or is full."""

    status = 503


def log_away() -> Unavailable:
    """Nothing can be published, or read, now."""
    return Unavailable("The gateway's log is not available; try again in a moment.", retry_after_s=1)


def not_taken() -> Unavailable:
    """What was published is not acknowledged."""
    return Unavailable("The gateway's log did not take the request; try again in a moment.", retry_after_s=1)
