"""Who is calling: minting and verifying tokens."""
