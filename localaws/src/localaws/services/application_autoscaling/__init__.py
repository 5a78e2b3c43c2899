"""Application Auto Scaling that acts: its API, its policies' decisions, its schedules, and what carries them out."""
