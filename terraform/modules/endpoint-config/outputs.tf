output "log_group_name" {
  description = "Name of the log group of the endpoint's containers."
  value       = aws_cloudwatch_log_group.embeddings.name
}

output "name" {
  description = "Name of the endpoint configuration."
  value       = local.name
}
