"""The path of the health check; a module of its own, so that clients need not import the server."""

HEALTH_PATH = "/_embedstack/health"
