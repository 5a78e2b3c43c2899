"""What running endpoints tell CloudWatch and S3: metrics, logs, captured requests, and whose they are."""
