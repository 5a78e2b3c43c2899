"""What every service shares: time, request validation, log format, threads."""
