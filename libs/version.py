"""The version of Sluice; a test holds it equal to pyproject.toml's, which a container does not carry."""

VERSION = "0.1.0"
