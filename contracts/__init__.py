"""The typed records of every topic: what services exchange, and nothing else."""
