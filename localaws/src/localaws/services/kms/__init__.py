"""AWS KMS: corrections of the errors that moto returns."""
