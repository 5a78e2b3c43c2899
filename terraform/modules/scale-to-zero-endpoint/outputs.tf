output "alarm_names" {
  description = "Names of the scaling alarms by purpose."
  value       = module.autoscaling.alarm_names
}

output "arn" {
  description = "ARN of the endpoint."
  value       = aws_cloudformation_stack.embeddings.outputs["EndpointArn"]
}

output "component_name" {
  description = "Name of the inference component, which every request must name."
  value       = local.component_name

  depends_on = [aws_cloudformation_stack.embeddings]
}

output "config_name" {
  description = "Name of the endpoint configuration, which ends in a hash of its content."
  value       = local._config_name
}

output "log_group_name" {
  description = "Name of the log group of the model's containers."
  value       = aws_cloudwatch_log_group.embeddings["InferenceComponents/${local.component_name}"].name
}

output "name" {
  description = "Name of the endpoint."
  value       = var.name

  depends_on = [aws_cloudformation_stack.embeddings]
}

output "stack_name" {
  description = "Name of the CloudFormation stack, whose events explain failures."
  value       = aws_cloudformation_stack.embeddings.name
}

output "target_value" {
  description = "Target of target tracking, in requests per minute and copy by default."
  value       = module.autoscaling.target_value
}

output "variant" {
  description = "Name of the endpoint's only variant, which is a dimension of its metrics."
  value       = local.variant
}
