output "bucket" {
  description = "Name of the bucket of documents, available once its changes are ingested."
  value       = aws_s3_bucket.documents.bucket

  depends_on = [aws_lambda_event_source_mapping.ingest, aws_s3_bucket_notification.documents]
}

output "alarm_names" {
  description = "Alarm names by subject; empty without alarms."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.pipeline : key => alarm.alarm_name }
}

output "concurrency" {
  description = "Largest number of concurrent invocations of each function."
  value       = local.concurrency
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "environment" {
  description = "Collection, chunking and model settings, with which applications split documents like the functions."
  value = {
    for name, value in local._environment : name => value
    if startswith(name, "EMBEDSTACK_") || contains(keys(local._model_environment), name)
  }
}

output "ingest_function" {
  description = "Name of the ingest function."
  value       = aws_lambda_function.functions["ingest"].function_name
}

output "queue_url" {
  description = "URL of the queue of documents."
  value       = aws_sqs_queue.ingest.url
}

output "search_function" {
  description = "Name of the search function."
  value       = aws_lambda_function.functions["search"].function_name
}

output "search_policy_json" {
  description = "IAM policy that allows an application to search by URL or by invoking the function."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # A function URL requires both actions.
        Sid      = "SearchDocuments"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
        Resource = aws_lambda_function.functions["search"].arn
      },
    ]
  })
}

output "search_url" {
  description = "URL of the search function, for requests signed with IAM credentials, or null."
  value       = one(aws_lambda_function_url.search[*].function_url)
}

output "security_group_ids" {
  description = "Ids of the functions' security groups; empty without a VPC."
  value       = local.security_group_ids
}
