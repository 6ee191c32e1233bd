"""Every kind of event is either in the feed, with a type, or known to be no news."""

from auth.api.game_server_answers import _KINDS
from auth.flows.feed import KINDS
from auth.store.records import EventKind

NO_NEWS = {EventKind.REGISTERED, EventKind.RECOVERY_CODE_MADE}


def test_kinds() -> None:
    """The feed reads the kinds that have a type, and no other kind is news for game servers."""
    assert set(KINDS) == set(_KINDS)
    assert set(EventKind) == set(KINDS) | NO_NEWS
