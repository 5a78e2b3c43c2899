"""Amazon Bedrock Runtime: InvokeModel and Converse with generated responses."""
