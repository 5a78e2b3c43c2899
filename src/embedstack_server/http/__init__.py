"""The HTTP side of the model server: connections, requests, and the protocols they are written in."""
