locals {
  # The folder in which embedstack package-functions builds packages for an architecture and a Python version.
  _package_target = try("${var.pipeline.architecture}-${var.pipeline.python_version}", "")
  _packages       = "${path.module}/../.local/lambda/${local._package_target}"

  # Requests that one instance processes at the same time; more are queued. Serverless endpoints have max_concurrency.
  _requests_per_instance = 4

  # The pipeline's endpoint is the one that embeds.
  _pipeline_endpoint = var.pipeline == null ? null : try(local.endpoints[local._primary], null)
  _pipeline_concurrency = try(
    local._pipeline_endpoint.serverless.max_concurrency,
    local._requests_per_instance * local._pipeline_endpoint.scale_to_zero.max,
    local._requests_per_instance * coalesce(
      local._pipeline_endpoint.autoscaling.max,
      local._pipeline_endpoint.realtime.instance_count,
    ),
    local._requests_per_instance * local._pipeline_endpoint.realtime.instance_count,
    null,
  )
}

module "vector_store" {
  source = "./modules/vector-store"
  count  = var.vector_store == null ? 0 : 1

  aurora             = var.vector_store.aurora
  log_retention_days = var.vector_store.log_retention_days
  name               = "${var.name}-vectors"
  s3_vectors         = var.vector_store.s3_vectors
  tags               = local.tags

  client_security_groups = var.pipeline == null ? {} : {
    for index, id in module.document_pipeline[0].security_group_ids : "functions-${index}" => id
  }
}

module "document_pipeline" {
  source = "./modules/document-pipeline"
  count  = var.pipeline == null ? 0 : 1

  architecture         = var.pipeline.architecture
  bucket               = var.pipeline.bucket
  chunking             = var.pipeline.chunking
  collection           = var.pipeline.collection
  environment          = var.pipeline.environment
  ingest               = var.pipeline.ingest
  ingest_package       = coalesce(var.pipeline.ingest_package, "${local._packages}/ingest.zip")
  kms_key_arn          = var.pipeline.kms_key_arn
  log_level            = var.pipeline.log_level
  log_retention_days   = var.pipeline.log_retention_days
  name                 = "${var.name}-pipeline"
  permissions_boundary = var.permissions_boundary
  python_version       = var.pipeline.python_version
  reserve_concurrency  = var.pipeline.reserve_concurrency
  role_path            = var.role_path
  search               = var.pipeline.search
  search_package       = coalesce(var.pipeline.search_package, "${local._packages}/search.zip")
  tags                 = local.tags
  vector_store         = module.vector_store[0]
  vpc                  = var.pipeline.vpc

  alarms = var.alarms == null ? null : merge(var.pipeline.alarms, { topic_arn = module.observability.topic_arn })

  endpoint = {
    arn            = local._deployed[local._primary].arn
    component_name = local._pipeline_endpoint.component_name
    concurrency    = local._pipeline_concurrency
    dimensions     = local._pipeline_endpoint.model.dimensions
    max_tokens     = local._pipeline_endpoint.model.max_tokens
    model          = try(coalesce(module.model[local._primary].model_id, var.pipeline.model), null)
    name           = local._deployed[local._primary].name
    prompts        = local._pipeline_endpoint.model.prompts
    revision       = local._pipeline_endpoint.model.revision
  }

  reranker = local._reranker == null ? null : {
    arn            = local._deployed[local._reranker].arn
    component_name = local.endpoints[local._reranker].component_name
    model          = module.model[local._reranker].model_id
    name           = local._deployed[local._reranker].name
    revision       = module.model[local._reranker].revision
  }
}
