"""Where a local AWS says that it is there; known to those who ask without loading what answers."""

HEALTH_PATH = "/_embedstack/health"
