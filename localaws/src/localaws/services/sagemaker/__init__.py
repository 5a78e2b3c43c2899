"""Amazon SageMaker: endpoints whose containers are model server processes."""
