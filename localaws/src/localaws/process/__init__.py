"""The processes of the local AWS: start, supervise, find and stop them."""
