"""Faults on demand: throttling, errors, delays, and processes that are killed."""
