"""Hostile input, and secrets that must not leak."""
