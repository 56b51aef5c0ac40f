"""The whole stack on one machine: broker, database, services, stub provider, supervisor."""
