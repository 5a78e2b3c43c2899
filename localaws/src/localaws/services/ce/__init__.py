"""AWS Cost Explorer: cost anomaly detection and cost allocation tags."""
