"""A backend that fails as it is told, on a clock that only moves when someone waits."""

from embedstack.embedders import FakeEmbedder
from embedstack.embedders.fake import FAKE_MODEL
from embedstack.errors import EndpointUnavailable
from embedstack.resilience import Retry, RetryingEmbedder

DOWN = EndpointUnavailable("down")


class Scripted(FakeEmbedder):
    """Raises the given errors one after the other, then answers."""

    def __init__(self, *errors, limits=None, info=FAKE_MODEL):
        self.script = list(errors)
        self.handed_over = False
        super().__init__(info, limits=limits, fault=lambda _: self.script.pop(0) if self.script else None)

    def disable_retries(self):
        self.handed_over = True


def retrying(inner, clock, policy=None, **options):
    return RetryingEmbedder(inner, Retry(policy, clock=clock, draw=lambda: 1.0, **options))
