"""What goes wrong on a user's machine, in words that say what to do."""


class StackError(Exception):
    """Printed as it is, without a traceback."""
