"""What other gateways' files become here. Pure but for `commands`, `rows` and `applying`."""
