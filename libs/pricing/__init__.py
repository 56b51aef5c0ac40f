"""Prices: where they come from, and what tokens cost by them."""
