"""CloudFormation whose stacks come up in the background, with SageMaker's and S3 Vectors' resources as real ones."""
