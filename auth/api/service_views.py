"""Views for machines: the public keys, and whether the service works."""

from auth.api.answers import Health, KeySet
from auth.api.routing import Flows


def public_keys(flows: Flows) -> KeySet:
    """Fetch the public keys that verify access tokens."""
    return KeySet(flows.keys.ring().jwks()["keys"])


def health(flows: Flows) -> Health:
    """Tell whether the database answers."""
    flows.ping()
    return Health("ok")
