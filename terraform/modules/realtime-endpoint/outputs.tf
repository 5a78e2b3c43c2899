output "arn" {
  description = "ARN of the endpoint."
  value       = aws_sagemaker_endpoint.embeddings.arn
}

output "config_arn" {
  description = "ARN of the endpoint's configuration."
  value       = aws_sagemaker_endpoint_configuration.embeddings.arn
}

output "config_name" {
  description = "Name of the endpoint's configuration: the given name and a hash of its content."
  value       = aws_sagemaker_endpoint_configuration.embeddings.name
}

output "log_group_name" {
  description = "Name of the log group that the endpoint's containers write to."
  value       = aws_cloudwatch_log_group.embeddings.name
}

output "name" {
  description = "Name of the endpoint, to invoke it by."
  value       = aws_sagemaker_endpoint.embeddings.name

  # Who scales or invokes the endpoint waits until it is there.
  depends_on = [aws_sagemaker_endpoint.embeddings]
}

output "variants" {
  description = "The endpoint's variants by name: instance_type, instance_count, weight, model_name and inference_ami."
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
