"""The processes that play containers, and the protocol that each image speaks."""
