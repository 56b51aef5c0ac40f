"""What the management API refuses, and the status of each refusal."""


class ConsoleError(Exception):
    """The message is for the caller and names what to do."""

    status = 400


class BadInput(ConsoleError):
    """A field is missing or wrong."""


class NotAllowed(ConsoleError):
    """No credential, or one that is not valid."""

    status = 401


class Forbidden(ConsoleError):
    """The caller is known, but may not."""

    status = 403


class NotFound(ConsoleError):
    """There is nothing of that ID."""

    status = 404


class Conflict(ConsoleError):
    """It is there already."""

    status = 409


class PreconditionFailed(ConsoleError):
    """Somebody changed it meanwhile."""

    status = 412


class Away(ConsoleError):
    """The database does not answer; nothing was changed."""

    status = 503
