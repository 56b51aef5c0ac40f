"""What clients speak: each API's requests as chat completions, and chat completions as its answers."""
