output "alarm_names" {
  description = "Alarm names by subject; empty without a topic."
  value = {
    for subject, name in {
      failures  = module.function.alarm_name
      unhealthy = one(aws_cloudwatch_metric_alarm.unhealthy[*].alarm_name)
    } : subject => name if name != null
  }
}

output "bucket" {
  description = "Name of the bucket of state and history."
  value       = aws_s3_bucket.state.bucket
}

output "dlq_url" {
  description = "URL of the queue of undelivered invocations."
  value       = module.function.dlq_url
}

output "function_name" {
  description = "Name of the function."
  value       = module.function.function_name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = module.function.role_arn
}
