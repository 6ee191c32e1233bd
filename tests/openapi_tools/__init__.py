"""docs/contract/openapi.json as other tools read it: linters and generators of clients.

The npm tools are large: they live in `.local/openapi-tools`, apart from the packages of `make run`.
"""
