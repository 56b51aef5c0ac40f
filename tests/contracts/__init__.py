"""The contracts: what is released stays readable."""
