"""AWS KMS: the states of keys."""
