"""Guests: instant play, upgrades, names, events."""
