"""AWS IAM: managed policies."""
