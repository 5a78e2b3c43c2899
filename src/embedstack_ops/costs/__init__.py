"""The bill of a Terraform plan."""
