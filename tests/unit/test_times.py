"""Times and ids as the API writes them."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.times import id_text, new_id, parse_id, rfc3339, system_clock

NOW = datetime(2026, 11, 22, 10, 0, 0, 123_456, tzinfo=UTC)
moments = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_system_clock() -> None:
    """The system clock returns aware UTC."""
    now = system_clock()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_rfc3339() -> None:
    """A time is written in whole seconds of UTC, whatever its time zone."""
    assert rfc3339(NOW) == "2026-11-22T10:00:00Z"
    assert rfc3339(NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))) == rfc3339(NOW)


@given(moments)
def test_rfc3339_of_any_moment(moment: datetime) -> None:
    """A written time reads back as the same second."""
    assert datetime.fromisoformat(rfc3339(moment)) == moment.replace(microsecond=0)


@given(moments)
def test_uuid7(moment: datetime) -> None:
    """An id is a UUID of version 7, variant 10, that begins with the milliseconds (RFC 9562)."""
    raw = new_id(moment)
    assert len(raw) == 16
    identifier = uuid.UUID(bytes=raw)
    assert identifier.version == 7
    assert identifier.variant == uuid.RFC_4122
    assert raw[6] >> 4 == 0b0111
    assert raw[8] >> 6 == 0b10
    milliseconds = int.from_bytes(raw[:6], "big")
    assert (
        abs(milliseconds - (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        <= 1
    )


def test_ids_differ_and_grow() -> None:
    """Ids of one moment differ in all random bits; later ones are greater."""
    same = [new_id(NOW) for _ in range(300)]
    assert len(set(same)) == 300
    ones, zeros = 0, 0
    for raw in same:
        ones |= int.from_bytes(raw, "big")
        zeros |= ~int.from_bytes(raw, "big") & (1 << 128) - 1
    random = ((1 << 76) - 1) & ~(0b11 << 62)
    assert ones & random == random
    assert zeros & random == random
    grown = [new_id(NOW + timedelta(milliseconds=number)) for number in range(300)]
    assert grown == sorted(grown)


@given(st.binary(min_size=16, max_size=16))
def test_text_of_an_id(raw: bytes) -> None:
    """An id reads back from its text."""
    assert parse_id(id_text(raw)) == raw


@pytest.mark.parametrize(
    "change", [str.upper, "{{{}}}".format, "urn:uuid:{}".format, " {}".format, "{}\n".format]
)
def test_one_spelling(change: object) -> None:
    """An id has exactly one spelling; no other is read."""
    assert callable(change)
    text = id_text(bytes(range(0xF0, 0x100)))
    with pytest.raises(ValueError, match=r"id|UUID"):
        parse_id(change(text))
    with pytest.raises(ValueError, match=r"id|UUID"):
        parse_id(text.replace("-", ""))


@given(st.text())
def test_any_text_is_no_id(text: str) -> None:
    """Any other text raises ValueError and nothing else."""
    try:
        raw = parse_id(text)
    except ValueError:
        return
    assert id_text(raw) == text
