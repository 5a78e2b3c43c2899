"""AWS clients, error translation and log redaction."""
