"""Tests, by what they need: unit, contracts, integration, e2e, faults; and the benchmark."""
