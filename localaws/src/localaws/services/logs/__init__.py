"""Amazon CloudWatch Logs: streams that processes of the local AWS write to. The API is moto's."""
