"""Metrics, logs and captured data of endpoints, and the identities that they belong to."""
