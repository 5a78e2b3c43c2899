output "alarm_names" {
  description = "Alarm names by <endpoint>/<variant>/<alarm>."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.embeddings : key => alarm.alarm_name }
}

output "dashboard_name" {
  description = "Name of the dashboard, or null."
  value       = one(aws_cloudwatch_dashboard.embeddings[*].dashboard_name)
}

output "idle_alarm_names" {
  description = "Names of the alarms of idle endpoints, by <endpoint>/<variant>."
  value       = { for key, alarm in aws_cloudwatch_composite_alarm.idle : key => alarm.alarm_name }
}

output "rollback_alarm_names" {
  description = "Names of the alarms that roll a deployment back, by endpoint."
  value = {
    for key in keys(var.endpoints) : key => [
      for id, alarm in local._alarms : aws_cloudwatch_metric_alarm.embeddings[id].alarm_name
      if alarm.fleet.key == key && alarm.rolls_back
    ]
  }
}

output "topic_arn" {
  description = "ARN of the SNS topic of alarms, budget and anomalies, or null."
  value       = local.topic_arn
}

output "unhealthy_alarm_names" {
  description = "Names of the composite alarms of unhealthy endpoints, by endpoint."
  value       = { for key, alarm in aws_cloudwatch_composite_alarm.unhealthy : key => alarm.alarm_name }
}

output "topic_key_arns" {
  description = "ARNs of the KMS key of the topic; empty for an existing topic."
  value = local._makes_topic ? concat(
    aws_kms_key.embeddings[*].arn,
    var.notifications.kms_key_arn == null ? [] : [var.notifications.kms_key_arn],
  ) : []
}
