"""Bad input: what it is made of, and what takes it. Tests take a sample, `./sluice bench fuzz` much more."""
