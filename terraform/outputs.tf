locals {
  # Identifies the model behind SAGEMAKER_ENDPOINT to clients. Vectors of another model can have the same length.
  _primary_model = {
    ST_MODEL_NAME     = try(coalesce(module.model[local._primary].model_id, try(var.pipeline.model, null)), null)
    ST_MODEL_REVISION = module.model[local._primary].revision
  }

  _deployed = merge(module.serverless_endpoint, module.realtime_endpoint, module.scale_to_zero_endpoint)

  # Endpoints that accept only InvokeEndpointAsync.
  _asynchronous = [for key, endpoint in local.endpoints : key if try(endpoint.realtime.async, null) != null]
}

output "alarm_names" {
  description = "Alarm names by <endpoint>/<variant>/<alarm>, and composite alarms by <endpoint>/unhealthy."
  value = merge(
    module.observability.alarm_names,
    { for key, name in module.observability.unhealthy_alarm_names : "${key}/unhealthy" => name },
  )
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
        "AWS_REGION=${data.aws_region.current.id}",
        "DEFAULT_AWS_REGION=${data.aws_region.current.id}",
        "AWS_ACCOUNT_ID=${data.aws_caller_identity.current.account_id}",
        "SAGEMAKER_ENDPOINT=${local._deployed[local._primary].name}",
      ],
      [
        for name in [local.endpoints[local._primary].component_name] : "SAGEMAKER_INFERENCE_COMPONENT=${name}"
        if name != null
      ],
      [for name, value in local._primary_model : "${name}=${value}" if value != null],
      local._primary_model.ST_MODEL_NAME != null ? [] : [
        "# ST_MODEL_NAME= the Hub id of the model in ${local._primary}, which model.model_id would say",
      ],
      flatten([for store in module.vector_store : [for name, value in store.environment : "${name}=${value}"]]),
      # With these settings, an application splits documents as the functions do.
      flatten([
        for pipeline in module.document_pipeline : [
          for name, value in pipeline.environment :
          can(regex("\\s", value)) ? "${name}='${value}'" : "${name}=${value}"
          if !startswith(name, "ST_MODEL_")
        ]
      ]),
    ) : "${line}\n"
  ])
}

output "endpoint_arns" {
  description = "ARNs of the endpoints by key."
  value       = { for key, endpoint in local._deployed : key => endpoint.arn }
}

output "endpoint_names" {
  description = "Names of the endpoints by key."
  value       = { for key, endpoint in local._deployed : key => endpoint.name }
}

output "endpoints" {
  description = "Expected settings of each endpoint by key, which the check after an apply compares with AWS."
  value = {
    for key, endpoint in local._deployed : key => {
      arn                     = endpoint.arn
      artifact                = module.model[key].artifact
      config_name             = endpoint.config_name
      container               = module.model[key].container
      environment             = module.model[key].environment
      hub_id                  = module.model[key].hub_id
      image_uri               = module.model[key].image_uri
      inference_component     = local.endpoints[key].component_name
      instance_count          = try(local.endpoints[key].realtime.instance_count, null)
      instance_type           = local.endpoints[key].instance_type
      kind                    = local.endpoints[key].kind
      log_group_name          = endpoint.log_group_name
      max_concurrency         = try(local.endpoints[key].serverless.max_concurrency, null)
      memory_mb               = try(local.endpoints[key].serverless.memory_mb, null)
      model_arn               = module.model[key].arn
      model_name              = module.model[key].name
      name                    = endpoint.name
      provisioned_concurrency = try(local.endpoints[key].serverless.provisioned_concurrency, null)
      revision                = local.endpoints[key].model.revision
      role_arn                = module.model[key].role_arn
      variant                 = "AllTraffic"
      variants                = try(endpoint.variants, {})
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
            [for key, endpoint in local._deployed : endpoint.arn if !contains(local._asynchronous, key)],
            [
              for endpoint in values(module.scale_to_zero_endpoint) :
              "${split(":endpoint/", endpoint.arn)[0]}:inference-component/${endpoint.component_name}"
            ],
          )
        },
        {
          Sid      = "QueueForEmbeddingEndpoints"
          Action   = "sagemaker:InvokeEndpointAsync"
          Resource = [for key in local._asynchronous : local._deployed[key].arn]
        },
      ] : merge(statement, { Effect = "Allow" }) if length(statement.Resource) > 0
    ]
  })
}

output "model_names" {
  description = "Names of the models by key."
  value       = { for key, model in module.model : key => model.name }
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
  value       = { for key, model in module.model : key => model.role_arn }
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
