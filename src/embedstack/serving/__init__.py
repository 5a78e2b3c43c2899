"""The model server that runs in the endpoint's container. Needs the extra ``embedstack[serving]``."""
