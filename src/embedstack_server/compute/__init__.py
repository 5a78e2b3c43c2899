"""Computation of vectors: encoder, batch scheduler, engines and graph."""
