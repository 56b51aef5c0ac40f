"""The decisions of rate-limit: pure, without I/O."""
