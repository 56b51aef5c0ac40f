"""The stub provider: has every protocol, gives equal requests equal answers, and misbehaves on request.

A client asks for misbehaviour in its last message, so that any SDK can: ``[[stub chunks=200 gap_ms=5]]``.
A model of the name ``fails:error=429`` fails so always.

| knob | effect |
|---|---|
| ``chunks=N`` | the answer has N words, one chunk each, but no more than its limit |
| ``over=1`` | the limit does not hold |
| ``gap_ms=N`` | pause between chunks (and before an answer that is not streamed) |
| ``error=STATUS`` | that HTTP status, in the protocol's shape |
| ``flaky=NAME`` | 503 the first time that the name is seen |
| ``hang=1`` | never answers |
| ``hang_after=N`` | silent for ever after N chunks |
| ``cut_after=N`` | closes the connection after N chunks (0: before the first byte) |
| ``fail_after=N`` | an error event after N chunks |
| ``usage=none`` | gives no counts; ``usage=zero`` gives zeros |
| ``tool=N`` | calls the first of the request's tools N times, without text unless ``chunks`` is there |
| ``call=NAME:JSON`` | with ``tool``: that tool, with these arguments (JSON without spaces and brackets) |
| (the assistant's message at the end) | the answer goes on after it |
| (``tool_choice``) | a tool that the request insists on is called once, with something of its schema |
| ``think=1`` | reasoning comes before the answer |
| ``cache=N`` | N more tokens of the prompt came from the cache |
| ``tier=NAME`` | says that it ran in that of its tiers, and not in the one that was asked for |
| ``garbage=1`` | answers with something that is no answer |
"""

KEY_VARIABLE = "SLUICE_STUB_KEY"
"""The environment variable with the key that it takes, beside testers' own."""
