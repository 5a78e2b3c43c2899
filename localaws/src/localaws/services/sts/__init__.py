"""AWS STS: moto's, with AWS's checks of requests."""
