"""Amazon Bedrock Runtime: text and embedding models with generated output."""
