"""Tickets: what they say, and where they are refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from auth.credentials import access_tokens
from auth.credentials.access_tokens import Realm
from auth.credentials.signed_tokens import Subject, Use
from auth.credentials.tickets import Ticket, issue, read, use_of
from auth.credentials.token_keys import TokenKeys
from auth.errors import InvalidToken, Reason
from auth.times import id_text, parse_id
from tests.unit.test_keys import ScriptedStore, token_secret

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
IAT = int(NOW.timestamp())
ADA = Subject(bytes(range(16)), bytes(range(16, 32)), "Ada", epoch=7)
KEYS = TokenKeys(ScriptedStore(token_secret()), "tokens", lambda: 0.0)
USE = use_of("issuer", "eu-1:7777", 60)


def ticket(use: Use = USE, subject: Subject = ADA, now: datetime = NOW) -> str:
    """Return a signed ticket."""
    return issue(KEYS.ring(), use, subject, now)


def verify(text: str, server: str = "eu-1:7777", now: datetime = NOW) -> Ticket:
    """Return a ticket if it lets a player into a server, as a redemption has it."""
    found = read(text, KEYS, "issuer", now)
    if found.server != server:
        raise InvalidToken(Reason.CLAIMS)
    if found.is_expired(now):
        raise InvalidToken(Reason.EXPIRED)
    return found


def refused(text: str, now: datetime = NOW) -> Reason:
    """Check that a ticket is refused, and return the reason that goes to the log."""
    with pytest.raises(InvalidToken) as caught:
        verify(text, now=now)
    return caught.value.reason


def test_claims() -> None:
    """A ticket has the claims of the contract, and verifies for its server."""
    text = ticket()
    claims = jwt.decode(text, options={"verify_signature": False})
    jti = claims.pop("jti")
    assert claims == {
        "iss": "issuer",
        "aud": "server:eu-1:7777",
        "sub": id_text(ADA.account_id),
        "sid": id_text(ADA.session_id),
        "name": "Ada",
        "epoch": 7,
        "iat": IAT,
        "exp": IAT + 60,
    }
    assert jwt.get_unverified_header(text) == {"typ": "ticket+jwt", "kid": "s1", "alg": "RS256"}
    assert verify(text) == Ticket(parse_id(jti), ADA, "eu-1:7777", IAT + 60)


def test_guests() -> None:
    """A guest's ticket says so."""
    guest = replace(ADA, guest=True)
    text = ticket(subject=guest)
    assert jwt.decode(text, options={"verify_signature": False})["guest"] is True
    assert verify(text).subject == guest


def test_later_tickets_have_greater_ids() -> None:
    """The ids of tickets rise with time, to the millisecond."""
    texts = [ticket(now=NOW + timedelta(milliseconds=n)) for n in range(100)]
    ids = [verify(text).id for text in texts]
    assert ids == sorted(ids)


def test_lifetime() -> None:
    """A ticket is good until its `exp`, which depends on the setting."""
    verify(ticket(), now=NOW + timedelta(seconds=59))
    assert refused(ticket(), now=NOW + timedelta(seconds=60)) == Reason.EXPIRED
    longest = use_of("issuer", "eu-1:7777")
    verify(ticket(longest), now=NOW + timedelta(seconds=299))
    assert refused(ticket(replace(longest, seconds=301))) == Reason.CLAIMS


@pytest.mark.parametrize(
    "use",
    [
        use_of("issuer", "eu-2:7777"),
        use_of("issuer", "server:eu-1:7777"),
        use_of("another", "eu-1:7777"),
        replace(USE, audience="eu-1:7777"),
        replace(USE, type="JWT"),
        replace(USE, type=access_tokens.TYPE),
    ],
    ids=str,
)
def test_other_uses(use: Use) -> None:
    """A ticket for another server, of another issuer or of another type is refused."""
    assert refused(ticket(use)) == Reason.CLAIMS


def test_an_access_token_is_no_ticket() -> None:
    """An access token is refused, whatever its audience."""
    realm = Realm("issuer", USE.audience)
    assert refused(access_tokens.issue(KEYS.ring(), realm, ADA, NOW)) == Reason.CLAIMS


def test_a_server_with_the_name_of_an_audience() -> None:
    """No name of a server gives a ticket that a verifier takes which looks at `aud` alone."""
    text = ticket(use_of("issuer", "game", 60))
    key = KEYS.ring().signing_keys["s1"].private_key.public_key()
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(text, key, algorithms=["RS256"], audience="game", options={"verify_exp": False})
