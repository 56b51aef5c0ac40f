"""Clients that people really run, each with a program in its own language, its pins and its environment.

A program prints a line of JSON for each case and model (`tests.clients.harness`). ``test_clients.py`` runs them against
a stack whose providers are the stub and a mock that others wrote, and writes docs/clients.md.
"""
