"""What the tests of refused recoveries share: each way in which a well-formed code is wrong."""

import pytest

from tests.conftest import Tables
from tests.play.guests import Guest
from tests.play.players import Player


@pytest.fixture
def refused(tables: Tables, player: Player) -> dict[str, str]:
    """Return a name for each way in which a well-formed code of nobody's can be wrong."""
    with_code, expired, guest = Player(), Player(), Guest()
    assert with_code.register().status == expired.register().status == 201
    assert guest.enter(create=True).status == 201
    for one in (expired, with_code, guest):
        one.saved_code()
    past = "UPDATE recovery_codes r JOIN accounts a ON a.id = r.account_id SET r.expires_at = %s"
    tables.run(f"{past} WHERE a.username = %s", "2026-01-01", expired.username)
    tables.run("DELETE FROM rate_limits")
    return {
        "unknown name": "nobody-here",
        "no code": player.username,
        "expired code": expired.username,
        "wrong code": with_code.username,
        "wrong code of a guest": guest.name(),
    }
