data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  # Of the Hub's models, those that src/embedstack/models.py knows, and the tokens of a chunk by default: null is what
  # the model reads. A text of the 8,192 that BGE-M3 reads is about everything and answers nothing, and may be more than
  # the 40 KB that S3 Vectors keeps beside a vector.
  known_models = {
    "BAAI/bge-m3"                            = 512
    "sentence-transformers/all-MiniLM-L6-v2" = null
  }
  _chunk_tokens = var.chunking.tokens == null ? lookup(local.known_models, var.endpoint.model, null) : var.chunking.tokens

  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  _region    = data.aws_region.current.id

  # A fifth of what the endpoint answers at once is left to searches, and the rest is what ingestion may ask: more
  # functions than that would only be throttled.
  _search_concurrency = coalesce(var.search.concurrency, ceil(var.endpoint.concurrency / 5))
  concurrency = {
    ingest = coalesce(var.ingest.concurrency, floor((var.endpoint.concurrency - local._search_concurrency) / var.ingest.requests))
    search = local._search_concurrency
  }

  # Also what the functions' own metrics are told apart by: one account may have several pipelines.
  _function_names    = { for function in ["ingest", "search"] : function => "${var.name}-${function}" }
  _metrics_namespace = "EmbedStack"

  # What both functions read; see .env.example.
  _environment = merge(
    {
      EMBEDSTACK_CHUNK_OVERLAP     = tostring(var.chunking.overlap)
      EMBEDSTACK_COLLECTION        = var.collection
      EMBEDSTACK_LATE_CHUNKING     = tostring(var.chunking.late)
      POWERTOOLS_LOG_LEVEL         = var.log_level
      POWERTOOLS_METRICS_NAMESPACE = local._metrics_namespace
      SAGEMAKER_ENDPOINT           = var.endpoint.name
      # Endpoint and settings are from here both, and the roles may not describe endpoints.
      SAGEMAKER_VERIFY_MODEL = "false"
      ST_MODEL_NAME          = var.endpoint.model
    },
    {
      for name, value in {
        EMBEDSTACK_CHUNK_TOKENS       = local._chunk_tokens
        EMBEDSTACK_DOCUMENT_CONTEXT   = var.chunking.context
        SAGEMAKER_INFERENCE_COMPONENT = var.endpoint.component_name
        ST_MODEL_REVISION             = var.endpoint.revision
      } : name => tostring(value) if value != null
    },
    # The package's certificates (build_lambda --database-ca), where the database's is checked.
    startswith(lookup(var.vector_store.environment, "PGSSLMODE", ""), "verify-") ? { PGSSLROOTCERT = "/var/task/rds-ca.pem" } : {},
    var.vector_store.environment,
  )

  _functions = {
    ingest = {
      description = "Documents of ${local.bucket_name} into the collection ${var.collection}"
      environment = merge(local._environment, {
        EMBEDDING_CONCURRENCY   = tostring(var.ingest.requests)
        EMBEDSTACK_DLQ_URL      = aws_sqs_queue.dead_letters.url
        EMBEDSTACK_QUEUE_URL    = aws_sqs_queue.ingest.url
        POWERTOOLS_SERVICE_NAME = local._function_names["ingest"]
      })
      package = var.ingest_package
      size    = var.ingest
    }
    search = {
      description = "Searches in the collection ${var.collection}"
      environment = merge(local._environment, { POWERTOOLS_SERVICE_NAME = local._function_names["search"] })
      package     = var.search_package
      size        = var.search
    }
  }
}

# Lambda would create the group on the first log line, without retention and beyond the reach of destroy.
resource "aws_cloudwatch_log_group" "functions" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key unless kms_key_arn names one, and the functions log no texts
  #checkov:skip=CKV_AWS_338:The functions' logs are for operation; who needs a year sets log_retention_days = 365
  for_each = toset(["ingest", "search"])

  name              = "/aws/lambda/${var.name}-${each.key}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "functions" {
  #checkov:skip=CKV_AWS_116:What fails is in the queue, and in its dead-letter queue after that
  #checkov:skip=CKV_AWS_117:In a VPC where vpc says so; services alone are reached without one
  #checkov:skip=CKV_AWS_173:Lambda encrypts the environment with its own key unless kms_key_arn names one; no secret is in it
  #checkov:skip=CKV_AWS_272:The package is built from this repository, and its hash is in the plan
  for_each = local._functions

  function_name                  = local._function_names[each.key]
  architectures                  = [var.architecture]
  description                    = each.value.description
  filename                       = each.value.package
  handler                        = "function.handler"
  kms_key_arn                    = var.kms_key_arn
  memory_size                    = each.value.size.memory_mb
  reserved_concurrent_executions = var.reserve_concurrency ? local.concurrency[each.key] : -1
  role                           = aws_iam_role.functions[each.key].arn
  runtime                        = "python${var.python_version}"
  source_code_hash               = filebase64sha256(each.value.package)
  tags                           = var.tags
  timeout                        = each.value.size.timeout_s

  environment {
    variables = merge(each.value.environment, var.environment)
  }
  ephemeral_storage {
    size = each.value.size.storage_mb
  }
  logging_config {
    # The functions write JSON themselves, and metrics in lines of CloudWatch's own format, which must stay as they are.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.functions[each.key].name
  }
  tracing_config {
    mode = "Active"
  }
  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]

    content {
      security_group_ids = local.security_group_ids
      subnet_ids         = vpc_config.value.subnet_ids
    }
  }

  # Lambda checks what the role may do as it makes network interfaces.
  depends_on = [aws_iam_role_policy.functions]
}

resource "aws_lambda_event_source_mapping" "ingest" {
  batch_size                         = var.ingest.batch_size
  event_source_arn                   = aws_sqs_queue.ingest.arn
  function_name                      = aws_lambda_function.functions["ingest"].arn
  function_response_types            = ["ReportBatchItemFailures"]
  maximum_batching_window_in_seconds = var.ingest.batch_window_s
  tags                               = var.tags

  scaling_config {
    # The queue's reader knows nothing of reserved concurrency: without this it takes more messages than the function
    # may work on, and each throttle counts as a receipt.
    maximum_concurrency = local.concurrency.ingest
  }
}

# Callers sign their requests; search_policy_json is what they must be allowed.
resource "aws_lambda_function_url" "search" {
  count = var.search.url ? 1 : 0

  authorization_type = "AWS_IAM"
  function_name      = aws_lambda_function.functions["search"].function_name
}
