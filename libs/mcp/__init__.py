"""The Model Context Protocol, as far as a gateway of tools speaks it: messages, and both sides of a call. No I/O."""
