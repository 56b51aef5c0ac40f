"""Provider protocols without I/O: bytes and typed requests in, bytes and typed events out."""
