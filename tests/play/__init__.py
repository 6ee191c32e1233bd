"""Shared by tests: players, events, the judge of answers, the model, and what runs under them."""
