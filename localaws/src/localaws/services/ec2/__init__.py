"""Amazon EC2: corrections of what moto returns for security groups."""
