"""The HTTP side: server, request guard, middleware and dispatch to the services."""
