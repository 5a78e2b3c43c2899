output "alarm_names" {
  description = "Names of the alarms by <endpoint>/<variant>/<alarm>."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.embeddings : key => alarm.alarm_name }
}

output "dashboard_name" {
  description = "Name of the dashboard; null without one."
  value       = one(aws_cloudwatch_dashboard.embeddings[*].dashboard_name)
}

output "rollback_alarm_names" {
  description = "By endpoint, names of the alarms that say that callers are hurt, and so that a deployment should be taken back."
  value       = { for key in keys(var.endpoints) : key => [for id, alarm in local._alarms : aws_cloudwatch_metric_alarm.embeddings[id].alarm_name if alarm.fleet.key == key && alarm.hurts && alarm.metric != "Invocations"] }
}

output "topic_arn" {
  description = "ARN of the topic that alarms, budget and anomalies are told to; null where there is none."
  value       = local.topic_arn
}

output "unhealthy_alarm_names" {
  description = "By endpoint, name of the composite alarm that says that it is unhealthy."
  value       = { for key, alarm in aws_cloudwatch_composite_alarm.unhealthy : key => alarm.alarm_name }
}
