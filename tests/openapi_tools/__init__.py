"""docs/contract/openapi.json as other people's tools see it: linters, and generators of clients.

The tools of npm live in `.local/openapi-tools`, apart from what `make run` needs: they are large.
"""
