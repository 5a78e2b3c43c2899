data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  # Longer chunks cover too many subjects for search, and can exceed the 40 KB of metadata that S3 Vectors stores with
  # a vector. Without a number, the functions use the model's own limit.
  _largest_chunk = 512
  _model_tokens  = lookup({ "BAAI/bge-m3" = 8192 }, var.endpoint.model, local._largest_chunk)
  _chunk_tokens = (
    var.chunking.tokens != null ? var.chunking.tokens :
    coalesce(var.endpoint.max_tokens, local._model_tokens) > local._largest_chunk ? local._largest_chunk : null
  )

  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  # A fifth of the endpoint's concurrency is reserved for searches, and ingestion uses the rest: the endpoint would
  # throttle more functions.
  _search_concurrency = coalesce(var.search.concurrency, ceil(var.endpoint.concurrency / 5))
  _ingest_concurrency = floor(
    (var.endpoint.concurrency - local._search_concurrency) / var.ingest.requests_per_function
  )
  concurrency = {
    ingest = coalesce(var.ingest.concurrency, local._ingest_concurrency)
    search = local._search_concurrency
  }

  # Also a dimension of the functions' custom metrics, because an account can have several pipelines.
  _function_names    = { for function in ["ingest", "search"] : function => "${var.name}-${function}" }
  _metrics_namespace = "EmbedStack"

  # Lambda sets these environment variables itself.
  _reserved_variables = join("", [
    "^(AWS_(ACCESS_KEY(_ID)?|DEFAULT_REGION|EXECUTION_ENV|LAMBDA_.*|REGION|SECRET_ACCESS_KEY|SESSION_TOKEN)",
    "|LAMBDA_(RUNTIME_DIR|TASK_ROOT))$",
  ])

  # JSON strings, because an empty setting means the model's own prompt.
  _prompts = { for kind, prompt in var.endpoint.prompts : kind => prompt == null ? null : jsonencode(prompt) }
  _model_environment = {
    for name, value in {
      EMBEDDING_DIMENSIONS      = var.endpoint.dimensions
      EMBEDDING_DOCUMENT_PROMPT = local._prompts.document
      EMBEDDING_MAX_TOKENS      = var.endpoint.max_tokens
      EMBEDDING_MODEL           = var.endpoint.model
      EMBEDDING_MODEL_REVISION  = var.endpoint.revision
      EMBEDDING_QUERY_PROMPT    = local._prompts.query
    } : name => tostring(value) if value != null
  }
  _reranker_environment = {
    for name, value in {
      RERANKER_ENDPOINT            = try(var.reranker.name, null)
      RERANKER_INFERENCE_COMPONENT = try(var.reranker.component_name, null)
      RERANKER_MODEL               = try(var.reranker.model, null)
      RERANKER_MODEL_REVISION      = try(var.reranker.revision, null)
    } : name => value if value != null
  }

  # Settings of both functions; see .env.example.
  _environment = merge(
    {
      EMBEDSTACK_CHUNK_OVERLAP     = tostring(var.chunking.overlap)
      EMBEDSTACK_COLLECTION        = var.collection
      EMBEDSTACK_LATE_CHUNKING     = tostring(var.chunking.late)
      POWERTOOLS_LOG_LEVEL         = var.log_level
      POWERTOOLS_METRICS_NAMESPACE = local._metrics_namespace
      SAGEMAKER_ENDPOINT           = var.endpoint.name
      # Terraform sets both endpoint and model, and the roles may not describe endpoints.
      SAGEMAKER_VERIFY_MODEL = "false"
    },
    local._model_environment,
    {
      for name, value in {
        EMBEDSTACK_CHUNK_TOKENS       = local._chunk_tokens
        EMBEDSTACK_DOCUMENT_CONTEXT   = var.chunking.context
        SAGEMAKER_INFERENCE_COMPONENT = var.endpoint.component_name
      } : name => tostring(value) if value != null
    },
    # The certificates in the package (package-functions --database-ca), if the database's certificate is verified.
    {
      for mode in [lookup(var.vector_store.environment, "PGSSLMODE", "")] :
      "PGSSLROOTCERT" => "/var/task/rds-ca.pem" if startswith(mode, "verify-")
    },
  )

  _functions = {
    ingest = {
      description = "Documents of ${local.bucket_name} into the collection ${var.collection}"
      environment = merge(local._environment, var.vector_store.environment, {
        EMBEDDING_CONCURRENCY   = tostring(var.ingest.requests_per_function)
        EMBEDSTACK_DLQ_URL      = aws_sqs_queue.dead_letters.url
        EMBEDSTACK_QUEUE_URL    = aws_sqs_queue.ingest.url
        POWERTOOLS_SERVICE_NAME = local._function_names["ingest"]
      })
      package = var.ingest_package
      size    = var.ingest
    }
    search = {
      description = "Searches in the collection ${var.collection}"
      environment = merge(
        local._environment,
        coalesce(var.vector_store.reading_environment, var.vector_store.environment),
        local._reranker_environment,
        { POWERTOOLS_SERVICE_NAME = local._function_names["search"] },
      )
      package = var.search_package
      size    = var.search
    }
  }
}

# Lambda would create the group on the first log line, without a retention period and unknown to Terraform.
resource "aws_cloudwatch_log_group" "functions" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key or kms_key_arn, and the functions log no texts
  #checkov:skip=CKV_AWS_338:These logs are for operation; log_retention_days = 365 keeps them for a year
  for_each = toset(["ingest", "search"])

  name              = "/aws/lambda/${var.name}-${each.key}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "functions" {
  #checkov:skip=CKV_AWS_116:Failed messages stay in the queue, and move to its dead-letter queue
  #checkov:skip=CKV_AWS_117:vpc attaches the functions to a VPC; they need none to call AWS services
  #checkov:skip=CKV_AWS_173:Lambda encrypts the environment with its own key or kms_key_arn; it contains no secret
  #checkov:skip=CKV_AWS_272:The package is built from this repository, and the plan contains its hash
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
    # The functions write JSON themselves, and metrics in CloudWatch's embedded metric format.
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

  # Lambda checks the role's permissions when it creates network interfaces.
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
    # The event source ignores reserved concurrency: without this limit it receives more messages than the function can
    # process, and each throttled invocation counts as a receipt.
    maximum_concurrency = local.concurrency.ingest
  }
}

# Callers sign their requests, and need the permissions in search_policy_json.
resource "aws_lambda_function_url" "search" {
  count = var.search.url ? 1 : 0

  authorization_type = "AWS_IAM"
  function_name      = aws_lambda_function.functions["search"].function_name
}
