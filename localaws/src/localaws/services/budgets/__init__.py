"""AWS Budgets: budgets with notifications, subscribers and tags."""
