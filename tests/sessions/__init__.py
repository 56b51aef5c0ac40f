"""Sessions of coding agents as their own programs sent them: real headers, real bodies, text scrubbed.

``record.py`` runs such a program against a provider that plays 20 turns, and stores what arrived.
"""
