"""Users' own provider keys: what one looks like, and whether its provider takes it."""
