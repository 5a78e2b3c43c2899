"""Embedders for SageMaker endpoints: synchronous and asynchronous inference."""
