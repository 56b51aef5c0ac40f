"""The decisions of metering: pure, without I/O."""
