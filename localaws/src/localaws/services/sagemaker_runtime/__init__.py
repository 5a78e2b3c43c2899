"""Amazon SageMaker Runtime: InvokeEndpoint and InvokeEndpointAsync."""
