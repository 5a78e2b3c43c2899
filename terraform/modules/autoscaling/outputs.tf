output "alarm_names" {
  description = "Names of the alarms that scale in steps, by what they are for: wake and step."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.step : key => alarm.alarm_name }
}

output "policy_arns" {
  description = "ARNs of the scaling policies, by what they are for: tracking, wake and step."
  value = merge(
    { for policy in aws_appautoscaling_policy.tracking : "tracking" => policy.arn },
    { for key, policy in aws_appautoscaling_policy.step : key => policy.arn },
  )
}

output "resource_id" {
  description = "What is scaled, as Application Auto Scaling calls it."
  value       = aws_appautoscaling_target.embeddings.resource_id
}

output "target_value" {
  description = "What target tracking holds its metric at; null without target tracking."
  value       = local.target_value
}
