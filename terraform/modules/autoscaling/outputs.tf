output "alarm_names" {
  description = "Names of the scaling alarms by purpose: wake and step."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.step : key => alarm.alarm_name }
}

output "policy_arns" {
  description = "ARNs of the scaling policies by purpose: tracking, wake and step."
  value = merge(
    { for policy in aws_appautoscaling_policy.tracking : "tracking" => policy.arn },
    { for key, policy in aws_appautoscaling_policy.step : key => policy.arn },
  )
}

output "resource_id" {
  description = "Resource id of the scalable target at Application Auto Scaling."
  value       = aws_appautoscaling_target.embeddings.resource_id
}

output "target_value" {
  description = "Target value of target tracking; null without it."
  value       = local.target_value
}
