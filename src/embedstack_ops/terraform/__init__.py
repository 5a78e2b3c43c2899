"""Terraform, driven from Python."""
