"""What a call carries: its deadline and cancellation, the clock, per-process state, response parsing."""
