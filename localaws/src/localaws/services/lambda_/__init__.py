"""AWS Lambda: functions as processes, their event sources, and their limits."""
