"""AWS Budgets and Cost Explorer: the records that Terraform creates and reads."""
