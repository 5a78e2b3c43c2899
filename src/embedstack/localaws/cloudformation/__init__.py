"""CloudFormation whose stacks come up in the background, and whose SageMaker resources are real ones."""
