"""The HTTP contract: every route, every code, the OpenAPI file, the tutorial."""
