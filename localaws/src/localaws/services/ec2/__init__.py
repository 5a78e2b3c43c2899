"""Amazon EC2: correction of security group rules."""
