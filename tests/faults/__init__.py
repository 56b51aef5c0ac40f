"""A whole stack, broken on purpose."""
