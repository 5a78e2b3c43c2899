"""HTTP for the model server: connections, request parsing, and the wire protocol."""
