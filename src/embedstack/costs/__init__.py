"""What calls cost: prices, the ledger of calls, and budgets."""
