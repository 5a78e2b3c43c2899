output "arn" {
  description = "ARN of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.arn
}

output "config_arn" {
  description = "ARN of the endpoint configuration."
  value       = aws_sagemaker_endpoint_configuration.embeddings.arn
}

output "config_name" {
  description = "Name of the endpoint configuration, which ends in a hash of its content."
  value       = aws_sagemaker_endpoint_configuration.embeddings.name
}

output "log_group_name" {
  description = "Name of the log group of the endpoint's containers."
  value       = module.config.log_group_name
}

output "name" {
  description = "Name of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.name

  # Scaling and requests need the endpoint.
  depends_on = [aws_sagemaker_endpoint.embeddings]
}

output "variants" {
  description = "The variants by name: instance_type, instance_count, weight, model_name and inference_ami."
  value = {
    for name, variant in local.variants : name => {
      inference_ami  = variant.inference_ami
      instance_count = variant.instance_count
      instance_type  = variant.instance_type
      model_name     = variant.model.name
      weight         = variant.weight
    }
  }
}
