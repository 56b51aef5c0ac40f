"""PostgreSQL: one pool a service, and the migrations of its own schema."""
