"""AWS CloudFormation: stacks that are created in the background, with SageMaker's and S3 Vectors' resources."""
