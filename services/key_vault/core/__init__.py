"""The decisions of key-vault: pure, without I/O."""
