"""Amazon SQS: standard queues that are safe for concurrent use, and their metrics."""
