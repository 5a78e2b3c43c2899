"""AWS Price List."""
