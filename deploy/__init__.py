"""How Sluice is run: on one machine, with compose, on Kubernetes."""
