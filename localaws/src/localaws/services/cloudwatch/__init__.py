"""CloudWatch: metrics with percentiles, alarms that are evaluated, and what they set off."""
