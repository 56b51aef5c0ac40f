"""The rules of organizations: decided by policy, tried out by the console."""
