"""Amazon S3: moto with event notifications, public access and corrected errors."""
