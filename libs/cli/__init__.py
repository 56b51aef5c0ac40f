"""The command line: `./sluice`."""
