"""Filters by their definition: text operators and dates."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from embedstack.errors import FilterRefused
from embedstack.stores import Record
from embedstack.stores.filters import matches, parse_filter

METADATA = {
    "source": "reports/2026/may.pdf", "tags": ["Invoice 7", "paid"], "day": "2026-01-31", "number": 10**400,
    "time": "2026-01-31T23:30:00.123456789-01:00", "no date": "2026-02-30", "dates": ["soon", "2027-01-01"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"source": {"$prefix": "reports/2026/"}}, True),
        ({"source": {"$prefix": "Reports"}}, False),
        ({"tags": {"$prefix": "pa"}}, True),
        ({"tags": {"$contains": "voice"}}, True),
        ({"tags": {"$contains": "INVOICE"}}, False),
        ({"number": {"$contains": "1"}}, False),
        ({"context": {"$prefix": "co"}}, True),
        ({"day": {"$gte": "2026-01-31", "$lt": "2026-02-01"}}, True),
        ({"day": {"$lt": "2026-01-31T00:00:00+01:00"}}, False),
        ({"day": {"$gt": "2026-01-31T00:00:00+01:00"}}, True),
        ({"day": {"$gt": date(2026, 1, 30)}}, True),
        ({"time": {"$gt": datetime(2026, 2, 1, 0, 30, 0, 123455, tzinfo=UTC)}}, True),
        ({"time": {"$lte": datetime(2026, 1, 31, 23, 30, 0, 123456, timezone(timedelta(hours=-1)))}}, True),
        ({"no date": {"$gt": "2000-01-01"}}, False),
        ({"dates": {"$gt": "2026-12-31"}}, True),
        ({"day": {"$gt": 3}}, False),
        ({"number": {"$gt": 1e300}}, True),
        ({"number": {"$gt": "2000-01-01"}}, False),
    ],
)
def test_filter_compares_texts_and_dates(where, expected):
    record = Record("id", "text", np.ones(2, np.float32), METADATA, "code")
    assert matches(record, parse_filter(where)) is expected


@pytest.mark.parametrize("bound", ["2026", "20260131", "2026-01-31T25:00", "tomorrow", "2026-1-1", "0000-01-01"])
def test_filter_rejects_bounds_that_are_no_dates(bound):
    with pytest.raises(FilterRefused, match="ISO 8601"):
        parse_filter({"day": {"$lt": bound}})
