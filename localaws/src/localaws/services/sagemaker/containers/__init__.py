"""The processes that act as containers, and the protocol that each image speaks."""
