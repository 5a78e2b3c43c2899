"""What calls and resources cost: prices with their sources, and formulas."""
