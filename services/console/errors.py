"""What the management API refuses, and the status of each refusal."""


class ConsoleError(Exception):
    """The message is for the caller and says what to do."""

    status = 400


class BadInput(ConsoleError):
    """A field is missing or wrong."""


class NotAllowed(ConsoleError):
    """No operator token, or a wrong one."""

    status = 401


class NotFound(ConsoleError):
    """There is nothing of that ID."""

    status = 404


class Conflict(ConsoleError):
    """It is there already."""

    status = 409
