"""A whole stack, used as its users do."""
