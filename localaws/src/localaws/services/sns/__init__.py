"""Amazon SNS: publishing from other services. The API itself is moto's."""
