"""What calls and resources cost: prices with their sources, formulas, the ledger of calls, and budgets."""
