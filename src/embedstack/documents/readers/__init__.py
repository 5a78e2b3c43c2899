"""Readers: one file each for a format, a decision which one reads a file, and the process that they run in."""
