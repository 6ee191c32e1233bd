"""Server keys: which are taken, for what, and until when."""

import pytest

from auth.errors import InvalidServerKey
from auth.external.database import REQUEST_SECONDS, Database
from auth.flows.server_keys import ServerKeys
from auth.store.server_keys import ServerKeyTable
from tests.conftest import Tables
from tests.play.game_servers import PollingServer
from tests.play.operators import Operator
from tests.play.players import Player, call

SERVER = "eu-1:7777"


def test_keys(tables: Tables, player: Player, server: PollingServer) -> None:
    """Without a good key nothing is redeemed, and no answer tells why."""
    ticket, (prefix, key_id, secret) = player.ticket(SERVER), server.key.split("_", 2)
    wrong = [
        player.access_token,
        f"{prefix}_{key_id}_{secret[:-1]}",
        f"{prefix}_{key_id}_{'A' * 43}",
        f"{prefix}_{key_id}",
        f"{prefix}_{key_id.upper()}_{secret}",
        f"{prefix}_01970000-0000-7000-8000-000000000000_{secret}",
        f"glsx_{key_id}_{secret}",
        server.key + "x" * 200,
    ]
    answers = [PollingServer(SERVER, key).redeem(ticket) for key in wrong]
    answers.append(call("POST", "/v1/server/redeem", {"ticket": ticket, "server": SERVER}))
    for answer in answers:
        assert answer.code == "invalid_server_key"
    assert tables.count("connections") == 0
    assert len({answer.json["error"]["message"] for answer in answers}) == 1
    assert server.redeem(ticket).status == 200


def test_a_server_key_is_no_access_token(player: Player, server: PollingServer) -> None:
    """Players' routes refuse a server key."""
    assert call("GET", "/v1/me", token=server.key).code == "invalid_token"


def test_revoked_key(player: Player, server: PollingServer, warm: Database) -> None:
    """A revoked key is refused after at most 30 seconds by a container that remembers it."""
    passed = 0.0
    keys = ServerKeys(ServerKeyTable(warm), lambda: passed)
    with warm.budget(REQUEST_SECONDS):
        assert keys.check(server.key).label == "tests"
        Operator().must("servers revoke", key=server.key.split("_")[1])
        passed = 29.9
        assert keys.check(server.key)
        passed = 30.0
        with pytest.raises(InvalidServerKey):
            keys.check(server.key)
    assert server.redeem(player.ticket(SERVER)).code == "invalid_server_key"
