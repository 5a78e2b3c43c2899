"""Endpoints, their variants, deployments, rollbacks and capacity."""
