"""The commands of an operator against a stage: `smoke`, `token_keys`, `versions`.

Thin callers over HTTP or the AWS API; the rules are in `auth`.
"""
