"""The benchmark: throughput and latency against the stub provider."""
