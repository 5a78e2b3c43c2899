locals {
  _deployed = merge(module.serverless_endpoint, module.realtime_endpoint, module.scale_to_zero_endpoint)

  _embedder = try(local.endpoints[local._primary], null)
  # JSON strings, because an empty setting means the model's own prompt.
  _prompts = {
    for kind in ["document", "query"] : kind => (
      try(local._embedder.model.prompts[kind], null) == null ? null : jsonencode(local._embedder.model.prompts[kind])
    )
  }

  # How clients find the endpoint that embeds, and know its model: vectors of another one can have the same length.
  _embedding_settings = local._embedder == null ? [] : [
    ["SAGEMAKER_ENDPOINT", local._deployed[local._primary].name],
    ["SAGEMAKER_INFERENCE_COMPONENT", local._embedder.component_name],
    ["EMBEDDING_MODEL", try(coalesce(module.model[local._primary].model_id, try(var.pipeline.model, null)), null)],
    ["EMBEDDING_MODEL_REVISION", module.model[local._primary].revision],
    ["EMBEDDING_DIMENSIONS", local._embedder.model.dimensions],
    ["EMBEDDING_MAX_TOKENS", local._embedder.model.max_tokens],
    ["EMBEDDING_QUERY_PROMPT", local._prompts.query],
    ["EMBEDDING_DOCUMENT_PROMPT", local._prompts.document],
  ]

  _reranker_settings = local._reranker == null ? [] : [
    ["RERANKER_ENDPOINT", local._deployed[local._reranker].name],
    ["RERANKER_INFERENCE_COMPONENT", local.endpoints[local._reranker].component_name],
    ["RERANKER_MODEL", module.model[local._reranker].model_id],
    ["RERANKER_MODEL_REVISION", module.model[local._reranker].revision],
  ]

  _settings = [
    for setting in concat(
      [
        ["AWS_REGION", local._region],
        ["DEFAULT_AWS_REGION", local._region],
        ["AWS_ACCOUNT_ID", data.aws_caller_identity.current.account_id],
      ],
      local._embedding_settings,
      local._reranker_settings,
      [for name, value in try(module.vector_store[0].environment, {}) : [name, value]],
      # With these settings, an application splits documents as the functions do.
      [
        for name, value in try(module.document_pipeline[0].environment, {}) : [name, value]
        if startswith(name, "EMBEDSTACK_")
      ],
    ) : setting if setting[1] != null
  ]
}

locals {
  # Names that are formed in different ways, so that an endpoint_name can lead to one of another endpoint.
  _alarm_names = concat(
    values(module.observability.alarm_names),
    values(module.observability.unhealthy_alarm_names),
    flatten([for scaling in values(module.autoscaling) : values(scaling.alarm_names)]),
    flatten([for endpoint in values(module.scale_to_zero_endpoint) : values(endpoint.alarm_names)]),
    [for endpoint in values(local.endpoints) : "${endpoint.name}-no-rollback" if endpoint.kind == "realtime"],
    flatten([for pipeline in module.document_pipeline : values(pipeline.alarm_names)]),
  )
  _equal_alarm_names = distinct([
    for name in local._alarm_names : name if length([for other in local._alarm_names : other if other == name]) > 1
  ])
}

output "alarm_names" {
  description = "Alarm names by <endpoint>/<variant>/<alarm>, and composite alarms by <endpoint>/unhealthy."
  value = merge(
    {
      for path, name in module.observability.alarm_names :
      join("/", concat([local._keys[split("/", path)[0]]], slice(split("/", path), 1, 3))) => name
    },
    { for id, name in module.observability.unhealthy_alarm_names : "${local._keys[id]}/unhealthy" => name },
  )

  precondition {
    condition = length(local._equal_alarm_names) == 0
    error_message = join(" ", [
      "Two alarms would have the name ${join(", ", local._equal_alarm_names)}, and each apply would overwrite one of",
      "them. Change an endpoint_name or a key.",
    ])
  }
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard, or null."
  value       = module.observability.dashboard_name
}

output "dotenv" {
  description = "Settings for clients in the format of .env files."
  value = join("", [
    for line in concat(
      [
        for setting in local._settings :
        # Quotation marks keep spaces, and those of values.
        can(regex("^[^\\s'\"\\\\#]+$", setting[1])) ? "${setting[0]}=${setting[1]}" :
        "${setting[0]}='${replace(replace(setting[1], "\\", "\\\\"), "'", "\\'")}'"
      ],
      [
        for key in compact([local._primary_key]) :
        "# EMBEDDING_MODEL= the Hub id of the model in ${key}, which model.model_id would say"
        if !contains([for setting in local._settings : setting[0]], "EMBEDDING_MODEL")
      ],
    ) : "${line}\n"
  ])
}

output "endpoint_arns" {
  description = "ARNs of the endpoints by key."
  value       = { for key, id in local._ids : key => local._deployed[id].arn }
}

output "endpoint_names" {
  description = "Names of the endpoints by key."
  value       = { for key, id in local._ids : key => local._deployed[id].name }
}

output "endpoints" {
  description = "Expected settings of each endpoint by key, which the check after an apply compares with AWS."
  value = {
    for key, id in local._ids : key => {
      arn                     = local._deployed[id].arn
      artifact                = module.model[id].artifact
      config_name             = local._deployed[id].config_name
      container               = module.model[id].container
      environment             = module.model[id].environment
      hub_id                  = module.model[id].hub_id
      image_uri               = module.model[id].image_uri
      inference_component     = local.endpoints[id].component_name
      instance_count          = try(local.endpoints[id].realtime.instance_count, null)
      instance_type           = local.endpoints[id].instance_type
      kind                    = local.endpoints[id].kind
      log_group_name          = local._deployed[id].log_group_name
      max_concurrency         = try(local.endpoints[id].serverless.max_concurrency, null)
      memory_mb               = try(local.endpoints[id].serverless.memory_mb, null)
      model_arn               = module.model[id].arn
      model_kind              = module.model[id].kind
      model_name              = module.model[id].name
      name                    = local._deployed[id].name
      provisioned_concurrency = try(local.endpoints[id].serverless.provisioned_concurrency, null)
      revision                = local.endpoints[id].model.revision
      role_arn                = module.model[id].role_arn
      variant                 = "AllTraffic"
      variants                = try(local._deployed[id].variants, {})
    }
  }
}

output "invoke_policy_json" {
  description = "IAM policy that allows an application to invoke these endpoints; it excludes S3 permissions."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in [
        {
          Sid    = "InvokeEmbeddingEndpoints"
          Action = "sagemaker:InvokeEndpoint"
          # A request to an inference component needs permission for the component and its endpoint.
          Resource = concat(
            [for id, endpoint in local._deployed : endpoint.arn if !contains(local._asynchronous, id)],
            [
              for endpoint in values(module.scale_to_zero_endpoint) :
              "${split(":endpoint/", endpoint.arn)[0]}:inference-component/${endpoint.component_name}"
            ],
          )
        },
        {
          Sid      = "QueueForEmbeddingEndpoints"
          Action   = "sagemaker:InvokeEndpointAsync"
          Resource = [for id in local._asynchronous : local._deployed[id].arn]
        },
      ] : merge(statement, { Effect = "Allow" }) if length(statement.Resource) > 0
    ]
  })
}

output "health_check" {
  description = "Function, bucket of state, queue of undelivered invocations and alarms of the health check, or null."
  value = one([
    for check in module.health_check : {
      alarm_names   = check.alarm_names
      bucket        = check.bucket
      dlq_url       = check.dlq_url
      function_name = check.function_name
    }
  ])
}

output "kinds" {
  description = "Kinds of the endpoints' models by key: embedding or reranker."
  value       = local._kinds
}

output "model_names" {
  description = "Names of the models by key."
  value       = { for key, id in local._ids : key => module.model[id].name }
}

output "pipeline" {
  description = "Bucket, queues, functions, alarms and search URL of the document pipeline, or null."
  value = one([
    for pipeline in module.document_pipeline : {
      alarm_names     = pipeline.alarm_names
      bucket          = pipeline.bucket
      concurrency     = pipeline.concurrency
      dlq_url         = pipeline.dlq_url
      ingest_function = pipeline.ingest_function
      queue_url       = pipeline.queue_url
      search_function = pipeline.search_function
      search_url      = pipeline.search_url
    }
  ])
}

output "role_arns" {
  description = "ARNs of the endpoints' execution roles by key."
  value       = { for key, id in local._ids : key => module.model[id].role_arn }
}

output "search_policy_json" {
  description = "IAM policy that allows an application to search the documents, or null without a pipeline."
  value       = one(module.document_pipeline[*].search_policy_json)
}

output "topic_arn" {
  description = "ARN of the SNS topic of alarms and cost notifications, or null."
  value       = module.observability.topic_arn
}

output "vector_store" {
  description = "ARN, kind (aurora or s3_vectors) and client environment of the vector store, or null."
  value = one([
    for store in module.vector_store : { arn = store.arn, environment = store.environment, kind = store.kind }
  ])
}
