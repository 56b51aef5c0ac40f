"""The decisions of console: pure, without I/O."""
