"""A model's files: configuration, tokenizer, weights and manifest."""
