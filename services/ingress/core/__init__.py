"""The decisions of ingress: pure, without I/O."""
