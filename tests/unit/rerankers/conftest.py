"""Both twins, on a clock that only moves when someone waits."""

import pytest

from embedstack.calls.clock import ManualClock
from tests.support.twins import TWINS


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock()
