output "bucket" {
  description = "Name of the bucket of documents, handed out once its changes are told of: what lies in it is ingested."
  value       = aws_s3_bucket.documents.bucket

  depends_on = [aws_lambda_event_source_mapping.ingest, aws_s3_bucket_notification.documents]
}

output "alarm_names" {
  description = "Names of the alarms by what they are about; empty without alarms."
  value       = { for key, alarm in aws_cloudwatch_metric_alarm.pipeline : key => alarm.alarm_name }
}

output "concurrency" {
  description = "How many of each function run at once at most."
  value       = local.concurrency
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "environment" {
  description = "Settings by which a person's own machine cuts and embeds documents as the functions do: collection, chunking and model."
  value       = { for name, value in local._environment : name => value if startswith(name, "EMBEDSTACK_") || startswith(name, "ST_MODEL_") }
}

output "ingest_function" {
  description = "Name of the function that ingests."
  value       = aws_lambda_function.functions["ingest"].function_name
}

output "queue_url" {
  description = "URL of the queue of documents to ingest."
  value       = aws_sqs_queue.ingest.url
}

output "search_function" {
  description = "Name of the function that searches."
  value       = aws_lambda_function.functions["search"].function_name
}

output "search_policy_json" {
  description = "IAM policy that lets an application search, by the URL or by invoking the function; attach it to the application's role."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # The URL asks for both.
        Sid      = "SearchDocuments"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
        Resource = aws_lambda_function.functions["search"].arn
      },
    ]
  })
}

output "search_url" {
  description = "URL of the function that searches, for requests signed by IAM; null without one."
  value       = one(aws_lambda_function_url.search[*].function_url)
}

output "security_group_ids" {
  description = "Security groups of the functions, for what they connect to; empty in no VPC."
  value       = local.security_group_ids
}
