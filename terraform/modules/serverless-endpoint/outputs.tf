output "arn" {
  description = "ARN of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.arn
}

output "config_arn" {
  description = "ARN of the endpoint configuration."
  value       = aws_sagemaker_endpoint_configuration.embeddings_serverless.arn
}

output "config_name" {
  description = "Name of the endpoint configuration, which ends in a hash of its content."
  value       = aws_sagemaker_endpoint_configuration.embeddings_serverless.name
}

output "log_group_name" {
  description = "Name of the log group of the endpoint's containers."
  value       = module.config.log_group_name
}

output "name" {
  description = "Name of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.name
}

output "variant" {
  description = "Name of the endpoint's only variant, which is a dimension of its metrics."
  value       = local.variant
}
