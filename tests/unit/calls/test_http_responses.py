"""Reading what a service sends, whatever it sends."""

import http.client
import io
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import urllib3

from embedstack.calls.http_responses import parse_json, read_body, response_errors, retry_after_seconds, token_count
from embedstack.errors import EmbedStackError, EndpointUnavailable, IntegrityError, Throttled


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7), ("0", 0), ("1.5", 1.5), (" 3 ", 3), ("999999999", 999999999), ("-1", None), ("-0.5", None),
        ("nan", None), ("inf", None), ("-inf", None), ("1e999", None), ("9" * 400, None), ("", None), ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 99 Oct 2015 07:28:00 GMT", None), ("21 Oct", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None), ("Wed, 21 Oct 2015 07:28:00 +9999", None), ("\x00", None),
        (None, None), (7, None), (b"7", None),
    ],
)  # fmt: skip
def test_retry_after_accepts_seconds_and_ignores_other_values(header, seconds):
    assert retry_after_seconds(header) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_retry_after_accepts_dates(zone):
    date = format_datetime(datetime.now(UTC).replace(tzinfo=zone) + timedelta(minutes=2))
    assert retry_after_seconds(date) == pytest.approx(120, abs=10)


@pytest.mark.parametrize("hint", [float("nan"), float("inf"), -1, float("-inf")])
def test_error_drops_an_invalid_retry_after(hint):
    assert Throttled("busy", retry_after=hint).retry_after is None


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), ("3", 3), (0, 0), (True, None), (-1, None), (1.0, None), ("x", None), ("٣", None), ("9" * 30, None),
     (2**60, None), (None, None), ([3], None)],
)  # fmt: skip
def test_token_count_accepts_whole_numbers_only(value, count):
    assert token_count(value) == count


def test_read_body_stops_at_the_limit():
    class Endless:
        taken = 0

        def read(self, amount):
            self.taken += amount
            return bytes(amount)

        def close(self):
            self.taken += 1

    stream = Endless()
    with pytest.raises(IntegrityError, match="more than the 1,000,000 bytes"):
        read_body(stream, 1_000_000, "Endpoint e")
    assert stream.taken < 2_000_000
    assert stream.taken % 2, "it was closed"
    assert read_body(io.BytesIO(b"x" * 1_000_000), 1_000_000, "Endpoint e") == b"x" * 1_000_000


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (urllib3.exceptions.ProtocolError("x"), EndpointUnavailable),
        (urllib3.exceptions.SSLError("x"), EndpointUnavailable),
        (http.client.IncompleteRead(b"x"), EndpointUnavailable),
        (ssl.SSLError("x"), EndpointUnavailable),
        (ConnectionResetError("x"), EndpointUnavailable),
        (TimeoutError("x"), EndpointUnavailable),
        (RecursionError("x"), IntegrityError),
        (MemoryError("x"), IntegrityError),
        (OverflowError("x"), IntegrityError),
        (KeyError("secret"), IntegrityError),
        (UnicodeDecodeError("utf-8", b"secret", 0, 1, "x"), IntegrityError),
    ],
)
def test_response_errors_translates_library_errors_without_content(raised, expected):
    with pytest.raises(expected) as caught, response_errors("Endpoint e"):
        raise raised
    assert "Endpoint e" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("raised", [FileNotFoundError("x"), KeyboardInterrupt(), Throttled("x")])
def test_response_errors_passes_other_errors(raised):
    with pytest.raises(type(raised)), response_errors("Endpoint e"):
        raise raised


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[1", b"\x1f\x8b\x08", b"<html>secret</html>", b"[1]]", b"\xed\xa0"]
)
def test_parse_json_error_does_not_quote_the_content(content):
    with pytest.raises(EmbedStackError) as caught:
        parse_json(content, "Endpoint e")
    assert isinstance(caught.value, EndpointUnavailable)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
