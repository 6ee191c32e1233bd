"""The lobby: the connected players and their chat, each account and each name at most once.

With the feed (revocations.py) it learns at once whose session has ended, who was suspended, or has
another name; without it, a seat lasts for ten minutes after the player's latest ticket.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from feed_events import FeedEvent
from inventory import Fenced, Inventory
from player_tokens import Player
from revocations import RESET_SECONDS, AsyncRevocations
from socket_entrance import Entrance
from socket_messages import (
    BAD_MESSAGE,
    BAD_TICKET,
    MESSAGES_AT_ONCE,
    Allowance,
    Refused,
    one_line,
    parse,
    text_in,
)
from socket_seats import (
    NEW_OWNER,
    Seat,
    check_rank,
    is_outdated,
    is_same,
    refusal_for,
    signed_in_elsewhere,
)
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

logger = logging.getLogger("socket_server")

CLOCKS_SECONDS = 2.0  # times have whole seconds, and the backend's own clocks may differ
MAX_CHAT_LENGTH = 500
MAX_ITEM_LENGTH = 50
# Between `kicked` and the close: Godot loses messages that arrive in the same frame as a close
# (https://github.com/godotengine/godot/issues/107442).
READING_SECONDS = 0.5


class Lobby:
    """The connected players. It runs in one event loop; only `handle` waits for anything."""

    def __init__(self, entrance: Entrance, inventory: Inventory | None = None) -> None:
        """The inventory needs fences: give one only to a lobby that redeems tickets."""
        self._entrance = entrance
        self._inventory = inventory
        self._feeds: list[AsyncRevocations] = []
        self._seats: list[Seat] = []
        self._allowances: dict[str, Allowance] = {}  # by account id; kept for a while after leaving
        self._closing: set[asyncio.Task[None]] = set()

    def follow(self, feeds: Iterable[AsyncRevocations]) -> None:
        """Obey feeds that call `on_event` and `on_reset`: one for each name of the server."""
        self._feeds = list(feeds)

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection from its handshake to its end."""
        try:
            player, fence = await self._entrance.enter(connection)
            await self._stay(Seat(player, connection, fence))
        except Refused as refused:
            await dismiss(connection, refused)
        except ConnectionClosed:
            return

    async def _stay(self, seat: Seat) -> None:
        """Keep a player in the lobby until the connection closes."""
        self._seat(seat, self._present(seat.player, seat.fence))
        logger.info("%s has joined", seat.player.name)
        try:
            names = sorted(other.player.name for other in self._seats)
            welcome = {"type": "welcome", "name": seat.player.name, "players": names}
            await seat.connection.send(json.dumps(welcome))
            self._ask_to_renew([seat])
            if self._inventory is not None:
                await self._show_items(seat, self._inventory.enter)
            await self._listen(seat)
        finally:
            self._remove(seat)
            self._forget_full_allowances()

    def _present(self, player: Player, fence: int | None) -> Player:
        """Return a player with the name that the feed knows.

        Raises:
            Refused: by the feed, the ticket is dead.
        """
        for feed in self._feeds:
            if event := feed.end_of(player, fence):
                raise refusal_for(event)
        for feed in self._feeds:
            if name := feed.new_name_of(player):
                return replace(player, name=name)
        return player

    def _seat(self, seat: Seat, player: Player) -> None:
        """Seat a player, replacing all seats of the same account or the same name.

        Raises:
            Refused: this account, or another one with this name, is here with a later ticket.
        """
        replaced = [
            other for other in self._seats if other is seat or is_same(other.player, player)
        ]
        before = {(other.player.account_id, other.player.name) for other in replaced}
        check_rank(seat, player, replaced)
        self._seats = [*(other for other in self._seats if other not in replaced), seat]
        seat.take(player)
        for other in replaced:
            if other is not seat:
                is_own = other.player.account_id == player.account_id
                why = signed_in_elsewhere() if is_own else Refused(BAD_TICKET, NEW_OWNER)
                self._close(other, why)
        for _account, name in before - {(player.account_id, player.name)}:
            self._tell_others(seat, {"type": "left", "name": name})
        if (player.account_id, player.name) not in before:
            self._tell_others(seat, {"type": "joined", "name": player.name})

    def _remove(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
            self._tell_others(seat, {"type": "left", "name": seat.player.name})
            logger.info("%s has left", seat.player.name)

    def _close(self, seat: Seat, why: Refused) -> None:
        """Close a lost seat's connection without waiting: a dead one takes its time."""
        seat.lost = why
        closing = asyncio.create_task(dismiss(seat.connection, why))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _forget_full_allowances(self) -> None:
        present = {seat.player.account_id for seat in self._seats}
        for account, allowance in list(self._allowances.items()):
            if account not in present and allowance.spare() == MESSAGES_AT_ONCE:
                del self._allowances[account]

    async def _listen(self, seat: Seat) -> None:
        """Handle messages until the connection closes or the player's time is up.

        Raises:
            Refused: the player must be disconnected.
        """
        allowance = self._allowances.setdefault(seat.player.account_id, Allowance())
        while not seat.lost:
            try:
                async with asyncio.timeout(seat.seconds_left()):
                    message = parse(await seat.connection.recv())
            except TimeoutError:
                continue
            except Refused:
                if seat.lost:
                    break  # a bad message must not end the time to read why
                raise
            if not seat.lost:
                allowance.take_message()
                await self._handle(seat, message)
        await seat.connection.wait_closed()  # `_close` has told the player why

    async def _handle(self, seat: Seat, message: dict[str, Any]) -> None:
        if message["type"] == "authenticate":
            await self._renew(seat, text_in(message, "ticket"))
        elif message["type"] == "chat":
            text = one_line(text_in(message, "text"))[:MAX_CHAT_LENGTH]
            if text:
                self._tell_all({"type": "chat", "name": seat.player.name, "text": text})
        elif message["type"] == "take":
            item = one_line(text_in(message, "item"))[:MAX_ITEM_LENGTH]
            if self._inventory is not None:  # a server restarted without a key ignores it
                await self._show_items(seat, self._inventory.take, item)
        else:
            raise Refused(BAD_MESSAGE, "unknown type of message")

    async def _renew(self, seat: Seat, ticket: str) -> None:
        try:
            player = await self._entrance.verified(ticket)
        except Refused:
            if seat.lost:  # meanwhile
                return
            raise
        if seat.lost:
            return
        if player.account_id != seat.player.account_id:
            raise Refused(BAD_TICKET, "ticket: belongs to another player")
        if not is_outdated(player, seat.player):  # an earlier one may have an earlier name
            self._seat(seat, self._present(player, seat.fence))

    async def _show_items(
        self, seat: Seat, change: Callable[..., list[str]], *values: object
    ) -> None:
        """Change a player's inventory, and send it."""
        try:
            items = await asyncio.to_thread(change, seat.player.account_id, seat.fence, *values)
        except Fenced:
            logger.info("a late write for %s was refused", seat.player.name)
            raise signed_in_elsewhere() from None
        await seat.connection.send(json.dumps({"type": "inventory", "items": items}))

    def on_event(self, event: FeedEvent) -> None:
        """Do what the feed says: end the seat of a player, or rename the player."""
        for seat in list(self._seats):
            if event.ends(seat.player, seat.fence):
                self._end(seat, refusal_for(event))
            elif event.renames(seat.player) and event.username:
                self._seat(seat, replace(seat.player, name=event.username))

    def on_reset(self, _at: float) -> None:
        """Let all players stay only with a new ticket."""
        self._ask_to_renew(self._seats)

    def _ask_to_renew(self, seats: list[Seat]) -> None:
        """Ask those for a new ticket whose last one is from before the last reset."""
        asked = [
            seat
            for seat in seats
            for feed in self._feeds
            if feed.must_renew(seat.player) and seat.must_renew(feed.reset_at, RESET_SECONDS)
        ]
        if not asked:
            return
        message = json.dumps({"type": "renew", "seconds": round(RESET_SECONDS - CLOCKS_SECONDS)})
        loop, connections = asyncio.get_running_loop(), [seat.connection for seat in asked]
        loop.call_later(CLOCKS_SECONDS, broadcast, connections, message)
        loop.call_later(RESET_SECONDS + 0.1, self._end_late_seats)

    def _end_late_seats(self) -> None:
        for seat in list(self._seats):
            try:
                seat.seconds_left()
            except Refused as refused:
                self._end(seat, refused)

    def _end(self, seat: Seat, why: Refused) -> None:
        logger.info("closing the seat of %s: %s", seat.player.name, why.reason)
        self._remove(seat)
        self._close(seat, why)

    def _tell_all(self, message: dict[str, Any]) -> None:
        broadcast([seat.connection for seat in self._seats], json.dumps(message))

    def _tell_others(self, seat: Seat, message: dict[str, Any]) -> None:
        others = [other.connection for other in self._seats if other is not seat]
        broadcast(others, json.dumps(message))


async def dismiss(connection: ServerConnection, why: Refused) -> None:
    """Tell a player why the connection is about to close, and close it."""
    if why.kicked is not None:
        broadcast([connection], json.dumps({"type": "kicked", **why.kicked}))
        await asyncio.sleep(READING_SECONDS)
    await connection.close(why.code, why.reason)
