"""The typed records of every topic: what services say to each other, and nothing else."""
