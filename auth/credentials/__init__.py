"""Secrets and proofs: passwords, usernames, token keys, and the tokens they sign.

No SQL and no Flask. Argon2, zxcvbn, PyJWT and cryptography are imported in this room only.
"""
