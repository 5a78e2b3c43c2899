"""Text embeddings on Amazon SageMaker: client, model server and a local AWS to run them on."""
