"""Paths that commands request; in a separate module, so that they need not import the server."""

__all__ = ["COSTS_PATH", "HEALTH_PATH", "PRICES_PATH", "QUEUES_PATH"]

COSTS_PATH = "/_embedstack/costs"
HEALTH_PATH = "/_embedstack/health"
PRICES_PATH = "/_embedstack/prices"
QUEUES_PATH = "/_embedstack/queues"
