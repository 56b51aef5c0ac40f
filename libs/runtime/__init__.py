"""The life of a process: start, health, work in the background, an end in good order."""
