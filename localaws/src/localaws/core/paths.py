"""Paths that commands request; in a separate module, so that they need not import the server."""

__all__ = ["HEALTH_PATH", "QUEUES_PATH"]

HEALTH_PATH = "/_embedstack/health"
QUEUES_PATH = "/_embedstack/queues"
