"""Apache Kafka on one machine, from packages: Java from PyPI, jars from a Maven repository, nothing from the system."""
