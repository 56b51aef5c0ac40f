"""Calls of addresses that users choose: to public ones only, unless the operator names a network."""
