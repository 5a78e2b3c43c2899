"""The Lambda functions' packages: their wheels, and the zip."""
