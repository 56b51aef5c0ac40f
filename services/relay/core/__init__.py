"""The decisions of relay: pure, without I/O."""
