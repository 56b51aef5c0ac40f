"""The APIs beside chat that pass to providers that have them: what is read of a request, sent, and counted."""
