"""Pure cores against plain models: no broker, no database, no clock."""
