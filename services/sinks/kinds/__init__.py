"""The sinks that come with Sluice, one file each."""
