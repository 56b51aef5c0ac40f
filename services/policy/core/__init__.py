"""The decisions of policy: pure, without I/O."""
