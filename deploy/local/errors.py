"""Errors on a user's machine. The message names the cause and what to do."""


class StackError(Exception):
    """Printed without a traceback."""
