"""What services share: clock, request validation, WSGI, log format, threads."""
