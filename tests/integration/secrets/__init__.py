"""Secrets Manager and the token keys."""
