"""Secrets and proofs: passwords, usernames, token keys, and the tokens they sign.

No SQL and no Flask. Only this package imports Argon2, zxcvbn, PyJWT and cryptography.
"""
