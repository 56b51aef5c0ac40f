"""Bad input: what it is made of, and what takes it. `tests/unit/test_fuzz.py` takes a sample, ``./sluice bench fuzz`` more."""
