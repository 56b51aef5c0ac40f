"""The decisions of audit: pure, without I/O."""
