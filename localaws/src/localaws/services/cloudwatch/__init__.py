"""Amazon CloudWatch: metrics with percentiles, and alarms that are evaluated and run their actions."""
