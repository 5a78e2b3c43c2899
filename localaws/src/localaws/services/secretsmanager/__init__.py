"""AWS Secrets Manager: moto's, with AWS's HTTP statuses and members."""
