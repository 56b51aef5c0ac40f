"""Mails, out."""
