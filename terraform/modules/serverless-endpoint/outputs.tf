output "arn" {
  description = "ARN of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.arn
}

output "config_arn" {
  description = "ARN of the endpoint's configuration."
  value       = aws_sagemaker_endpoint_configuration.embeddings_serverless.arn
}

output "config_name" {
  description = "Name of the endpoint's configuration: the given name and a hash of its content."
  value       = aws_sagemaker_endpoint_configuration.embeddings_serverless.name
}

output "log_group_name" {
  description = "Name of the log group that the endpoint's containers write to."
  value       = aws_cloudwatch_log_group.embeddings.name
}

output "name" {
  description = "Name of the endpoint, to invoke it by."
  value       = aws_sagemaker_endpoint.embeddings.name
}

output "variant" {
  description = "Name of the endpoint's only variant, a dimension of its metrics."
  value       = local.variant
}
