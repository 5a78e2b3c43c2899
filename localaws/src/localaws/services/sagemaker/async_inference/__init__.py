"""Asynchronous inference: requests wait in a queue until an instance takes them, and responses go to S3."""
