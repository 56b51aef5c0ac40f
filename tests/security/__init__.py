"""Attacks: what a liar may try with what he has stolen."""
