"""The management API's routes, by domain. Each opens one transaction, asks `Session` who may, then changes or reads."""
