"""Keeps the ledger."""
