"""Proves from log and ledger that the books are exact."""
