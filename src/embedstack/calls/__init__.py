"""Deadlines and cancellation of calls, clocks, per-process state, and response parsing."""
