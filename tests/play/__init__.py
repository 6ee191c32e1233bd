"""Shared test code: players, events, the OpenAPI judge, the model, and test processes."""
