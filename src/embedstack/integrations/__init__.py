"""Adapters to the interfaces of other frameworks."""
