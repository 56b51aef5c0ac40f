"""What each API's JSON looks like: its request, answer and events. Types alone, one file an API.

All are dictionaries as the JSON gives them, so what passes as it is keeps what is not named here. What a client or a
provider sent may lack any field, and nobody has checked the values: readers ask with ``get``, and what makes no sense
is a `SurfaceError` of the client or a `ProtocolError` of the provider.
"""
