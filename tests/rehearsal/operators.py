"""Operators of the rehearsed stage: they type commands, or invoke the functions by hand."""

import json
from dataclasses import dataclass
from typing import Any

from local.terminal import Problem
from operate.player import RemotePlayer, expect
from tests.rehearsal.serverless import Project, last_lines
from tests.rehearsal.stand_in import StandIn

STAGE = "dev"
COMMAND_ID = "019aab3c-5d2e-7f90-8b1d-6a0c3e9f5d24"
REASON = "ticket 4711"
OF_ONE_CALL = {"schema", "request_id"}  # all that may differ between two answers

Answer = dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """An operator of a deployed stage, with the project and credentials for AWS."""

    project: Project
    stand_in: StandIn

    def run(self, *arguments: str) -> Answer:
        """Type a command that is done, and return its answer.

        Raises:
            Problem: it was not done.
        """
        typed = [*arguments, "--stage", STAGE, "--json"]
        done = self.project.operate(*typed)
        if done.status != 0:
            raise Problem(f"`operate {' '.join(typed)}` failed:\n{last_lines(done.output)}")
        answer: Answer = json.loads(done.output)
        return answer

    def invoke(self, role: str, event: Answer) -> Answer:
        """Invoke the function of a role, as `aws lambda invoke` does."""
        done = self.stand_in.client("lambda").invoke(
            FunctionName=f"game-login-{STAGE}-operate_{role}", Payload=json.dumps(event)
        )
        answer: Answer = json.loads(done["Payload"].read())
        if "FunctionError" in done:
            raise Problem(f"operate_{role} failed: {answer}")
        return answer

    def arn(self) -> str:
        """Return the caller, as AWS names it."""
        return str(self.stand_in.client("sts").get_caller_identity()["Arn"])


def help_player(desk: Desk, player: RemotePlayer, other: RemotePlayer) -> None:
    """Suspend a player and let the player in again; try to delete another by the wrong function.

    Raises:
        Problem: a command or the player was answered in another way than expected.
    """
    suspended = desk.run(
        *("suspend", player.username, "--for", "7d", "--message", "Cheating"),
        *("--yes", "--reason", REASON, "--command-id", COMMAND_ID),
    )
    _shut_out(player)
    _by_hand(desk, player.username, suspended)
    _wrong_function(desk, other)
    desk.run("lift", player.username, "--reason", REASON)
    _require(player.refresh().status == 401, "an ended session works again after `lift`")
    expect(200, player.log_in())
    expect(200, player.me())


def _shut_out(player: RemotePlayer) -> None:
    _require(player.me().status == 401, "a suspended player's access token still works")
    _require(player.refresh().status == 401, "a suspended player's session still works")
    refused = player.log_in()
    _require(
        (refused.status, refused.code) == (403, "account_suspended"),
        f"a suspended player got {refused}",
    )


def _by_hand(desk: Desk, username: str, suspended: Answer) -> None:
    """Send the same commands as events that were written by hand."""
    typed = desk.run("players", "show", username)
    _require(typed["result"]["suspended"] is True, f"not shown as suspended: {typed}")
    show = {"command": "players show", "arguments": {"account": username}}
    _equal(desk.invoke("view", show), typed)
    suspend = {
        "command": "suspend",
        "command_id": COMMAND_ID,
        "reason": REASON,
        "operator": {"arn": desk.arn()},
        "arguments": {"account": username, "for": "7d", "player_reason": "Cheating"},
    }
    _equal(desk.invoke("support", suspend), suspended)  # the repetition of the typed command


def _equal(invoked: Answer, typed: Answer) -> None:
    invoked, typed = (
        {name: value for name, value in answer.items() if name not in OF_ONE_CALL}
        for answer in (invoked, typed)
    )
    _require(invoked == typed, f"invoked: {invoked}, typed: {typed}")


def _wrong_function(desk: Desk, player: RemotePlayer) -> None:
    """Try to delete an account by the function for support staff."""
    delete = {
        "command": "delete",
        "command_id": COMMAND_ID.replace("019aab3c", "019aab3d"),
        "reason": REASON,
        "arguments": {"account": player.id},
    }
    refused = desk.invoke("support", delete)
    code = refused.get("error", {}).get("code")
    _require(code == "wrong_role", f"operate_support may delete an account: {refused}")
    recorded = desk.invoke("view", {"command": "log"})
    _require("wrong_role" in json.dumps(recorded), f"the refusal is not recorded: {recorded}")
    expect(200, player.me())


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Problem(otherwise)
