"""The tests, by what they need.

`unit` needs no server, `integration` a real MariaDB or MySQL (DATABASE says which), `stories` the
whole stack; `deploy` checks what a deployment uploads.
"""
