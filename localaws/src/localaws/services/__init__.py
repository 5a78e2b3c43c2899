"""The emulated AWS services, one package each, under the names that AWS gives them."""
