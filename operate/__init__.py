"""The operator's commands for a stage: `smoke`, `token_keys`, `versions`.

They only call HTTP or the AWS API; the rules are in `auth`.
"""
