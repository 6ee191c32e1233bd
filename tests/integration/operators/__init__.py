"""Operators: commands, done once, for one role each."""
