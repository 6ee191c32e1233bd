"""Redeems tickets at the login backend: each lets a player in once, and the newest connection wins.

    redeemer = Redeemer(LoginBackend("https://login.example.com", server_key), ["eu-1:7777"])
    redeemed = redeemer.redeem(ticket)  # raises TicketRefused, CannotRedeem
    print(redeemed.username, redeemed.fence)

Store the fence with whatever you write for the player, and refuse to write with a smaller one
(inventory.py shows how): so a server that has lost the player without knowing it does no harm.
"""

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from login_backend import NEW_KEY, BackendAnswer, LoginBackend
from player_tokens import AUDIENCE_PREFIX, MAX_TOKEN_LENGTH

logger = logging.getLogger(__name__)

REDEEM_PATH = "/v1/server/redeem"
ANSWER_SECONDS = 4.0  # for each try
TRY_SECONDS = 8.0  # within which another try begins
PAUSE_SECONDS = 0.5
INVALID_TICKET = "invalid_ticket"
REFUSALS = {INVALID_TICKET, "ticket_used", "ticket_expired"}
KEY_REFUSALS = {"invalid_server_key", "wrong_server"}
OK = 200
TRY_AGAIN = {429, 500, 502, 503, 504}


class TicketRefused(Exception):
    """The ticket does not let the player in: invalid_ticket, ticket_used or ticket_expired."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CannotRedeem(Exception):
    """The backend gives no answer, or refuses this server: not the player's fault."""


@dataclass(frozen=True)
class Redeemed:
    """The player whom a ticket let in. A later connection of the account has a greater fence.

    For the feed keep the `Player` of `PlayerTokens.verify` beside it: events compare `epoch` and
    `issued_at`, which only the ticket says.
    """

    account_id: str
    username: str
    session_id: str
    fence: int
    account: Mapping[str, Any]  # all that the backend says about it


class Redeemer:
    """Redeems the tickets of a server with one or more names; safe in several threads.

    After a lost answer it sends the same ticket again, and gets the same answer.
    """

    def __init__(
        self,
        backend: LoginBackend,
        servers: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the backend and the server's own names."""
        self._backend = backend
        self._servers = servers
        self._monotonic, self._sleep = monotonic, sleep
        self._has_logged = threading.Event()

    def redeem(self, ticket: str) -> Redeemed:
        """Redeem a ticket; this blocks for up to twelve seconds while the backend is down.

        Raises:
            TicketRefused: the player needs another one.
            CannotRedeem: let the player try again later.
        """
        body = {"ticket": ticket, "server": self._server_of(ticket)}
        give_up_at = self._monotonic() + TRY_SECONDS
        while True:
            answer = self._ask(body)
            if answer is not None and answer.status not in TRY_AGAIN:
                return self._redeemed(answer, body["server"])
            pause = max(PAUSE_SECONDS, (answer and answer.retry_after) or 0.0)
            if self._monotonic() + pause >= give_up_at:
                raise CannotRedeem(str(answer or "no answer"))
            self._sleep(pause)

    def _ask(self, body: Mapping[str, str]) -> BackendAnswer | None:
        try:
            return self._backend.begin(REDEEM_PATH, body, ANSWER_SECONDS).result(ANSWER_SECONDS)
        except Exception as error:  # noqa: BLE001  # of the network
            logger.info("no answer to a redemption: %s", type(error).__name__)
            return None

    def _redeemed(self, answer: BackendAnswer, server: str) -> Redeemed:
        if answer.code in REFUSALS:
            raise TicketRefused(answer.code)
        if answer.status != OK:
            self._log_once(answer, server)
            raise CannotRedeem(str(answer))
        content = answer.content
        try:
            account, session = content["account"], content["session"]
            texts = (account["id"], account["username"], session["id"])
            fence = content["fence"]
        except (KeyError, TypeError):
            raise CannotRedeem("the answer is incomplete") from None
        if type(fence) is not int or not all(isinstance(text, str) for text in texts):
            raise CannotRedeem("the answer has a wrong form")
        self._has_logged.clear()
        return Redeemed(*texts, fence, account)

    def _log_once(self, answer: BackendAnswer, server: str) -> None:
        """Log once that the backend refuses this server, whoever comes."""
        if self._has_logged.is_set():
            return
        self._has_logged.set()
        if answer.code in KEY_REFUSALS:
            remedy = f"set another server key, from `{NEW_KEY} --server '{server}'`"
        else:
            remedy = "does its version redeem tickets?"  # it was rolled back, for example
        logger.error(
            "%s does not redeem for %s (%s): %s", self._backend.url, server, answer, remedy
        )

    def _server_of(self, ticket: str) -> str:
        """Return our name that a ticket is for, as the ticket says; the backend verifies it.

        Raises:
            TicketRefused: it is for none of our names.
        """
        audience = _audience_of(ticket)
        for name in self._servers:
            if AUDIENCE_PREFIX + name == audience:
                return name
        raise TicketRefused(INVALID_TICKET)


def _audience_of(ticket: str) -> object:
    if len(ticket) > MAX_TOKEN_LENGTH:
        return None
    try:
        claims = ticket.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
