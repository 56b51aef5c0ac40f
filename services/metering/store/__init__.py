"""The ledger's SQL, by what it reads and writes."""
