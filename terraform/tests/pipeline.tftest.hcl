# The document pipeline's module.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

override_resource {
  target          = aws_sqs_queue.dead_letters
  override_during = plan
  values = {
    arn = "arn:aws:sqs:us-east-1:123456789012:alex-pipeline-dead-letters"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/alex-pipeline-dead-letters"
  }
}

override_resource {
  target          = aws_sqs_queue.ingest
  override_during = plan
  values = {
    arn = "arn:aws:sqs:us-east-1:123456789012:alex-pipeline-ingest"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/alex-pipeline-ingest"
  }
}

variables {
  name           = "alex-pipeline"
  ingest_package = "tests/fixtures/function.zip"
  search_package = "tests/fixtures/function.zip"
  endpoint = {
    name        = "alex-embedding-endpoint"
    arn         = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
    concurrency = 10
    model       = "sentence-transformers/all-MiniLM-L6-v2"
  }
  vector_store = {
    environment = { VECTOR_BUCKET = "alex-vectors", VECTOR_STORE = "s3vectors" }
    kind        = "s3_vectors"
    reading_statements = [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = "s3vectors:QueryVectors"
        Resource = "arn:aws:s3vectors:us-east-1:123456789012:bucket/alex-vectors/index/*"
      },
    ]
    writing_statements = [
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = "s3vectors:PutVectors"
        Resource = "arn:aws:s3vectors:us-east-1:123456789012:bucket/alex-vectors/index/*"
      },
    ]
  }
}

run "defaults" {
  command = plan
  module { source = "./modules/document-pipeline" }

  assert {
    condition = (
      output.concurrency == { ingest = 8, search = 2 } &&
      aws_lambda_function.functions["ingest"].reserved_concurrent_executions == 8 &&
      aws_lambda_function.functions["search"].reserved_concurrent_executions == 2
    )
    error_message = "Searches must get two of ten concurrent requests."
  }
  assert {
    condition = (
      one(aws_lambda_event_source_mapping.ingest.scaling_config).maximum_concurrency == 8 &&
      aws_lambda_event_source_mapping.ingest.function_response_types == toset(["ReportBatchItemFailures"]) &&
      aws_lambda_event_source_mapping.ingest.event_source_arn == aws_sqs_queue.ingest.arn &&
      aws_lambda_event_source_mapping.ingest.batch_size == 10
    )
    error_message = "The event source must have the function's concurrency and report failed messages."
  }
  assert {
    condition = (
      aws_sqs_queue.ingest.visibility_timeout_seconds == 721 &&
      aws_sqs_queue.ingest.receive_wait_time_seconds == 20 &&
      aws_sqs_queue.ingest.message_retention_seconds == 604800 &&
      aws_sqs_queue.ingest.sqs_managed_sse_enabled &&
      aws_sqs_queue.dead_letters.sqs_managed_sse_enabled
    )
    error_message = "The visibility timeout must be six timeouts and the window, and messages encrypted."
  }
  assert {
    condition = (
      (
        jsondecode(aws_sqs_queue.ingest.redrive_policy) ==
        { deadLetterTargetArn = "arn:aws:sqs:us-east-1:123456789012:alex-pipeline-dead-letters", maxReceiveCount = 5 }
      ) &&
      (
        jsondecode(aws_sqs_queue.dead_letters.redrive_allow_policy) ==
        {
          redrivePermission = "byQueue"
          sourceQueueArns   = ["arn:aws:sqs:us-east-1:123456789012:alex-pipeline-ingest"]
        }
      ) &&
      aws_sqs_queue.dead_letters.message_retention_seconds == 1209600
    )
    error_message = "After five receipts, messages must move to the dead-letter queue for two weeks."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_sqs_queue.ingest.policy).Statement :
        statement if statement.Effect == "Allow"
      ] ==
      [
        {
          Sid       = "SendFromBucket"
          Effect    = "Allow"
          Principal = { Service = "s3.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = "arn:aws:sqs:us-east-1:123456789012:alex-pipeline-ingest"
          Condition = {
            ArnEquals    = { "aws:SourceArn" = "arn:aws:s3:::alex-pipeline-123456789012-us-east-1" }
            StringEquals = { "aws:SourceAccount" = "123456789012" }
          }
        },
      ]
    )
    error_message = "Only this account's bucket may send."
  }
  assert {
    condition = (
      (
        one(aws_s3_bucket_notification.documents.queue).events ==
        toset(["s3:LifecycleExpiration:*", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
      ) &&
      aws_s3_bucket_versioning.documents.versioning_configuration[0].status == "Enabled" &&
      (
        one(
          aws_s3_bucket_server_side_encryption_configuration.documents.rule,
        ).apply_server_side_encryption_by_default[0].sse_algorithm ==
        "aws:kms"
      ) &&
      aws_s3_bucket_public_access_block.documents.block_public_acls &&
      aws_s3_bucket_public_access_block.documents.restrict_public_buckets &&
      jsondecode(aws_s3_bucket_policy.documents.policy).Statement[0].Sid == "RefusePlainText" &&
      !aws_s3_bucket.documents.force_destroy
    )
    error_message = "The bucket must notify of every change, and be versioned, encrypted and private."
  }
  assert {
    condition = (
      aws_lambda_function.functions["ingest"].function_name == "alex-pipeline-ingest" &&
      aws_lambda_function.functions["ingest"].handler == "function.handler" &&
      aws_lambda_function.functions["ingest"].runtime == "python3.13" &&
      aws_lambda_function.functions["ingest"].architectures == tolist(["arm64"]) &&
      aws_lambda_function.functions["ingest"].timeout == 120 &&
      aws_lambda_function.functions["ingest"].tracing_config[0].mode == "Active" &&
      aws_lambda_function.functions["ingest"].source_code_hash == filebase64sha256("tests/fixtures/function.zip") &&
      aws_lambda_function.functions["ingest"].logging_config[0].log_group == "/aws/lambda/alex-pipeline-ingest" &&
      length(aws_lambda_function.functions["ingest"].vpc_config) == 0
    )
    error_message = "The function must run the package."
  }
  assert {
    condition = aws_lambda_function.functions["ingest"].environment[0].variables == tomap({
      EMBEDDING_CONCURRENCY        = "1"
      EMBEDSTACK_CHUNK_OVERLAP     = "0"
      EMBEDSTACK_COLLECTION        = "documents"
      EMBEDSTACK_DLQ_URL           = "https://sqs.us-east-1.amazonaws.com/123456789012/alex-pipeline-dead-letters"
      EMBEDSTACK_LATE_CHUNKING     = "false"
      EMBEDSTACK_QUEUE_URL         = "https://sqs.us-east-1.amazonaws.com/123456789012/alex-pipeline-ingest"
      POWERTOOLS_LOG_LEVEL         = "INFO"
      POWERTOOLS_METRICS_NAMESPACE = "EmbedStack"
      POWERTOOLS_SERVICE_NAME      = "alex-pipeline-ingest"
      SAGEMAKER_ENDPOINT           = "alex-embedding-endpoint"
      SAGEMAKER_VERIFY_MODEL       = "false"
      EMBEDDING_MODEL              = "sentence-transformers/all-MiniLM-L6-v2"
      VECTOR_BUCKET                = "alex-vectors"
      VECTOR_STORE                 = "s3vectors"
    })
    error_message = "The function must receive all settings."
  }
  assert {
    condition = (
      [for statement in jsondecode(aws_iam_role_policy.functions["ingest"].policy).Statement : statement.Sid] ==
      ["WriteLogs", "Embed", "Trace", "ReadDocuments", "KnowThatDocumentsAreGone", "WorkOnQueue", "SetAside", "Write"]
    )
    error_message = "Ingestion must be able to do this and nothing else."
  }
  assert {
    condition = (
      [for statement in jsondecode(aws_iam_role_policy.functions["search"].policy).Statement : statement.Sid] ==
      ["WriteLogs", "Embed", "Trace", "Read"]
    )
    error_message = "A search must read vectors and nothing else."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.functions["ingest"].policy).Statement :
        statement.Sid if statement.Resource == "*"
      ] ==
      ["Trace"]
    )
    error_message = "Every statement except X-Ray's must name its resources."
  }
  assert {
    condition = (
      aws_lambda_function_url.search[0].authorization_type == "AWS_IAM" &&
      (
        jsondecode(output.search_policy_json).Statement[0].Action ==
        ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
      )
    )
    error_message = "The URL must require IAM, and callers need both permissions."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.pipeline) == 0
    error_message = "Without alarms = {}, there must be no alarms."
  }
}

run "everything" {
  command = plan
  module { source = "./modules/document-pipeline" }

  variables {
    alarms = { queue_age_minutes = 10, topic_arn = "arn:aws:sns:us-east-1:123456789012:operations" }
    bucket = {
      name            = "my-documents"
      prefix          = "handbook/"
      suffix          = ".pdf"
      force_destroy   = true
      noncurrent_days = 7
    }
    chunking = { context = "{source} > {headings}: ", late = true, overlap = 20, tokens = 200 }
    endpoint = {
      name           = "alex-embedding-endpoint"
      arn            = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
      component_name = "alex-embedding-component"
      concurrency    = 20
      model          = "BAAI/bge-m3"
      revision       = "5617a9f61b028005a4858fdac845db406aefb181"
    }
    environment          = { EMBEDDING_TRUNCATE = "true" }
    ingest               = { requests_per_function = 2, timeout_s = 900, batch_window_s = 300 }
    kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/mocked"
    permissions_boundary = "arn:aws:iam::123456789012:policy/alex-boundary"
    role_path            = "/embeddings/"
    reserve_concurrency  = false
    search               = { concurrency = 6, url = false }
    vector_store = {
      environment = {
        DATABASE_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mocked"
        PGSSLMODE           = "verify-full"
        VECTOR_STORE        = "postgres"
      }
      kind               = "aurora"
      reading_statements = []
      security_group_ids = ["sg-0fedcba9876543210"]
      writing_statements = []
    }
    vpc = { subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  assert {
    condition = (
      output.concurrency == { ingest = 7, search = 6 } &&
      one(aws_lambda_event_source_mapping.ingest.scaling_config).maximum_concurrency == 7 &&
      aws_lambda_function.functions["ingest"].reserved_concurrent_executions == -1
    )
    error_message = "(20 - 6) / 2 functions must ingest, without taking from the account's concurrency."
  }
  assert {
    condition = (
      aws_sqs_queue.ingest.visibility_timeout_seconds == 5700 &&
      aws_sqs_queue.ingest.kms_master_key_id == var.kms_key_arn &&
      aws_sqs_queue.dead_letters.kms_master_key_id == var.kms_key_arn &&
      aws_lambda_function.functions["search"].kms_key_arn == var.kms_key_arn &&
      aws_cloudwatch_log_group.functions["search"].kms_key_id == var.kms_key_arn
    )
    error_message = "Everything must be encrypted with the key."
  }
  assert {
    condition = (
      {
        for name, policy in aws_iam_role_policy.functions :
        name => flatten([
          for statement in jsondecode(policy.policy).Statement :
          statement.Action if strcontains(jsonencode(statement.Action), "kms:")
        ])
      } ==
      { ingest = ["kms:Decrypt", "kms:GenerateDataKey"], search = ["kms:Decrypt"] }
    )
    error_message = "The search role must not generate keys."
  }
  assert {
    condition = (
      one(aws_s3_bucket_notification.documents.queue).filter_prefix == "handbook/" &&
      one(aws_s3_bucket_notification.documents.queue).filter_suffix == ".pdf" &&
      (
        [
          for statement in jsondecode(aws_iam_role_policy.functions["ingest"].policy).Statement :
          statement.Resource if statement.Sid == "ReadDocuments"
        ] ==
        ["arn:aws:s3:::my-documents/handbook/*"]
      )
    )
    error_message = "The role may read only keys with the prefix."
  }
  assert {
    condition = (
      aws_lambda_function.functions["ingest"].environment[0].variables["EMBEDSTACK_CHUNK_TOKENS"] == "200" &&
      (
        aws_lambda_function.functions["ingest"].environment[0].variables["EMBEDSTACK_DOCUMENT_CONTEXT"] ==
        "{source} > {headings}: "
      ) &&
      aws_lambda_function.functions["ingest"].environment[0].variables["EMBEDDING_CONCURRENCY"] == "2" &&
      aws_lambda_function.functions["search"].environment[0].variables["EMBEDDING_TRUNCATE"] == "true" &&
      (
        aws_lambda_function.functions["search"].environment[0].variables["SAGEMAKER_INFERENCE_COMPONENT"] ==
        "alex-embedding-component"
      ) &&
      aws_lambda_function.functions["search"].environment[0].variables["EMBEDDING_MODEL"] == "BAAI/bge-m3" &&
      aws_lambda_function.functions["search"].environment[0].variables["PGSSLROOTCERT"] == "/var/task/rds-ca.pem" &&
      (
        output.environment ==
        {
          EMBEDSTACK_CHUNK_OVERLAP    = "20"
          EMBEDSTACK_CHUNK_TOKENS     = "200"
          EMBEDSTACK_COLLECTION       = "documents"
          EMBEDSTACK_DOCUMENT_CONTEXT = "{source} > {headings}: "
          EMBEDSTACK_LATE_CHUNKING    = "true"
          EMBEDDING_MODEL             = "BAAI/bge-m3"
          EMBEDDING_MODEL_REVISION    = "5617a9f61b028005a4858fdac845db406aefb181"
        }
      )
    )
    error_message = "Functions and applications must receive the chunking settings."
  }
  assert {
    condition = (
      (
        [for statement in jsondecode(aws_iam_role_policy.functions["search"].policy).Statement : statement.Sid] ==
        [
          "WriteLogs",
          "Embed",
          "Trace",
          "UseKey",
          "CreateInterfaces",
          "ManageInterfaces",
          "LookAtNetwork",
          "LeaveInterfacesToLambda",
        ]
      ) &&
      (
        [
          for statement in jsondecode(aws_iam_role_policy.functions["search"].policy).Statement :
          statement.Resource if statement.Sid == "Embed"
        ] ==
        [
          [
            "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint",
            "arn:aws:sagemaker:us-east-1:123456789012:inference-component/alex-embedding-component",
          ],
        ]
      )
    )
    error_message = "Lambda must be able to create interfaces, but not the functions' code."
  }
  assert {
    condition = (
      aws_iam_role.functions["ingest"].permissions_boundary == "arn:aws:iam::123456789012:policy/alex-boundary" &&
      aws_iam_role.functions["ingest"].path == "/embeddings/" &&
      length(aws_lambda_function_url.search) == 0 &&
      output.search_url == null
    )
    error_message = "Roles must have boundary and path, and the URL must be omitted."
  }
  assert {
    condition = (
      aws_vpc_security_group_egress_rule.database[0].referenced_security_group_id == "sg-0fedcba9876543210" &&
      module.security_group.created &&
      output.security_group_ids == tolist(["sg-0123456789abcdef0"])
    )
    error_message = "The functions must reach services and the database."
  }
  assert {
    condition = (
      (
        keys(aws_cloudwatch_metric_alarm.pipeline) ==
        ["dead-letters", "ingest-failures", "queue-age", "search-errors", "search-failures", "search-throttles"]
      ) &&
      alltrue([
        for alarm in aws_cloudwatch_metric_alarm.pipeline :
        alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:operations"])
      ]) &&
      aws_cloudwatch_metric_alarm.pipeline["queue-age"].threshold == 600 &&
      aws_cloudwatch_metric_alarm.pipeline["dead-letters"].threshold == 0 &&
      aws_cloudwatch_metric_alarm.pipeline["dead-letters"].treat_missing_data == "ignore"
    )
    error_message = "Alarms must notify the topic."
  }
  assert {
    condition = (
      (
        aws_cloudwatch_metric_alarm.pipeline["search-failures"].namespace ==
        aws_lambda_function.functions["search"].environment[0].variables["POWERTOOLS_METRICS_NAMESPACE"]
      ) &&
      (
        aws_cloudwatch_metric_alarm.pipeline["search-failures"].dimensions ==
        tomap({
          service = aws_lambda_function.functions["search"].environment[0].variables["POWERTOOLS_SERVICE_NAME"]
        })
      ) &&
      aws_cloudwatch_metric_alarm.pipeline["search-failures"].metric_name == "Failed" &&
      aws_cloudwatch_metric_alarm.pipeline["search-errors"].metric_name == "Errors" &&
      (
        aws_cloudwatch_metric_alarm.pipeline["search-errors"].dimensions ==
        tomap({ FunctionName = "alex-pipeline-search" })
      )
    )
    error_message = "Failed search responses and function errors must have alarms."
  }
}

run "model_that_the_functions_do_not_know" {
  command = plan
  module { source = "./modules/document-pipeline" }

  variables {
    endpoint = {
      name        = "alex-embedding-endpoint"
      arn         = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
      concurrency = 10
      dimensions  = 512
      max_tokens  = 32768
      model       = "our-team/embedder"
      prompts     = { document = "", query = "Query: " }
    }
    reranker = {
      arn            = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-reranker-endpoint"
      component_name = "alex-reranker-component"
      model          = "BAAI/bge-reranker-v2-m3"
      name           = "alex-reranker-endpoint"
    }
  }

  assert {
    condition = (
      {
        for name, value in aws_lambda_function.functions["ingest"].environment[0].variables :
        name => value if startswith(name, "EMBEDDING_") || startswith(name, "RERANKER_") || endswith(name, "_TOKENS")
      } ==
      {
        EMBEDDING_CONCURRENCY     = "1"
        EMBEDDING_DIMENSIONS      = "512"
        EMBEDDING_DOCUMENT_PROMPT = "\"\""
        EMBEDDING_MAX_TOKENS      = "32768"
        EMBEDDING_MODEL           = "our-team/embedder"
        EMBEDDING_QUERY_PROMPT    = "\"Query: \""
        EMBEDSTACK_CHUNK_TOKENS   = "512"
      }
    )
    error_message = "The functions must receive what is known of the model, and ingestion no reranker."
  }
  assert {
    condition = (
      {
        for name, value in aws_lambda_function.functions["search"].environment[0].variables :
        name => value if startswith(name, "RERANKER_")
      } ==
      {
        RERANKER_ENDPOINT            = "alex-reranker-endpoint"
        RERANKER_INFERENCE_COMPONENT = "alex-reranker-component"
        RERANKER_MODEL               = "BAAI/bge-reranker-v2-m3"
      }
    )
    error_message = "The search function must know the reranker."
  }
  assert {
    condition = (
      {
        for name, policy in aws_iam_role_policy.functions :
        name => flatten([
          for statement in jsondecode(policy.policy).Statement : statement.Resource if statement.Sid == "Rerank"
        ])
      } ==
      {
        ingest = []
        search = [
          "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-reranker-endpoint",
          "arn:aws:sagemaker:us-east-1:123456789012:inference-component/alex-reranker-component",
        ]
      }
    )
    error_message = "Only the search function may invoke the reranker and its component."
  }
}
