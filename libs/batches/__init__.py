"""Files and batches: what the log has of them. No I/O."""
