output "alarm_name" {
  description = "Name of the alarm on failed runs, or null."
  value       = one(aws_cloudwatch_metric_alarm.failures[*].alarm_name)
}

output "dlq_url" {
  description = "URL of the queue of undelivered invocations."
  value       = aws_sqs_queue.undelivered.url
}

output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.function.arn
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.function.function_name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.function.arn
}

output "schedule_name" {
  description = "Name of the schedule in EventBridge Scheduler."
  value       = aws_scheduler_schedule.function.name
}
