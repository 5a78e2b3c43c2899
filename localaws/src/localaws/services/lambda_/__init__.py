"""AWS Lambda: functions that are running processes, what invokes them, and what they are limited to."""
