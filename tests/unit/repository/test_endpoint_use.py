"""How long an endpoint is busy, by the intervals of its requests."""

import pytest
from endpoint_use import Interval, covered


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        ([], 0),
        ([(0, 2)], 2),
        ([(5, 6), (0, 2)], 3),
        ([(0, 2), (1, 3)], 3),
        ([(0, 9), (1, 2), (3, 4), (8, 10)], 10),
        ([(0, 1), (1, 2), (1, 1)], 2),
    ],
)
def test_usage_counts_overlapping_requests_once(intervals, seconds):
    assert covered(Interval(*each) for each in intervals) == seconds
