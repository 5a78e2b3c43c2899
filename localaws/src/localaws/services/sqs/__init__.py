"""Amazon SQS: standard queues that several may read at once, and their metrics."""
