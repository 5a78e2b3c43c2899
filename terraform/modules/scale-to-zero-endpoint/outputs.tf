output "arn" {
  description = "ARN of the endpoint."
  value       = aws_cloudformation_stack.embeddings.outputs["EndpointArn"]
}

output "component_name" {
  description = "Name of the inference component, which every request must name beside the endpoint."
  value       = local.component_name

  depends_on = [aws_cloudformation_stack.embeddings]
}

output "config_name" {
  description = "Name of the endpoint's configuration: the given name and a hash of its content."
  value       = local._config_name
}

output "log_group_name" {
  description = "Name of the log group that the model's containers write to."
  value       = aws_cloudwatch_log_group.embeddings["InferenceComponents/${local.component_name}"].name
}

output "name" {
  description = "Name of the endpoint, to invoke it by."
  value       = var.name

  depends_on = [aws_cloudformation_stack.embeddings]
}

output "stack_name" {
  description = "Name of the CloudFormation stack, whose events tell what went wrong."
  value       = aws_cloudformation_stack.embeddings.name
}

output "target_value" {
  description = "Requests per minute and copy at which target tracking holds the load."
  value       = module.autoscaling.target_value
}

output "variant" {
  description = "Name of the endpoint's only variant, a dimension of its metrics."
  value       = local.variant
}
