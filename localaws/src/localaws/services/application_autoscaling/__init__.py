"""Application Auto Scaling: policies and schedules change the capacity of SageMaker's resources."""
