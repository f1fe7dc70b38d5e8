"""Readable implementations that run on any array library."""
