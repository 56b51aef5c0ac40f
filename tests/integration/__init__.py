"""The bus on a real broker."""
