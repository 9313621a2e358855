"""Thin programs on the public API."""
