"""`make run-game` gives its game server a key, and replaces the one of an earlier run."""

import pytest

from local.offline import Offline
from local.server_key import KeyMaker
from local.terminal import Problem
from tests.play.game_servers import PollingServer, new_key
from tests.play.operators import Operator


def test_renewed(operated: Offline) -> None:
    """Each run has a key of its own, the key of the run before is revoked, and no other."""
    other = new_key("Europe")
    first, second = (KeyMaker(operated.operate_environment()).renew() for _ in range(2))
    keys = {one["key"]: one["revoked_at"] for one in Operator().must("servers list")["keys"]}
    good = {key for key, revoked_at in keys.items() if revoked_at is None}
    assert good == {key.split("_")[1] for key in (other, second)}
    assert first.split("_")[1] in keys
    assert PollingServer(key=second).page().status == 200


def test_another_stack(operated: Offline) -> None:
    """Without the functions that make keys, the problem is reported in one line."""
    elsewhere = {**operated.operate_environment(), "OPERATE_SUFFIX": "-other"}
    with pytest.raises(Problem, match=r"cannot make a server key: .*operate_own-other"):
        KeyMaker(elsewhere).renew()
