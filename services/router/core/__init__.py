"""The decisions of router: pure, without I/O."""
