"""Recommendations that lower the bill, each with the figures that led to it."""
