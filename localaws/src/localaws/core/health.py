"""The path of the health check; in a separate module, so that clients need not import the server."""

HEALTH_PATH = "/_embedstack/health"
