"""Asynchronous inference: requests wait in a queue until an instance takes them, and answers go to S3."""
