"""Behaviour of the handler on a real MariaDB and a Secrets Manager stand-in."""
