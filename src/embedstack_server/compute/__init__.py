"""From token ids to vectors: the encoder, the scheduler of batches, the engines and the graph."""
