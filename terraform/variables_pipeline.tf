variable "pipeline" {
  description = "Ingestion of documents into the vector store and search in it; null creates none."
  type = object({
    # Alarm thresholds, which apply when var.alarms is set.
    alarms = optional(object({
      failures_per_minute  = optional(number)
      queue_age_minutes    = optional(number)
      throttles_per_minute = optional(number)
    }), {})
    architecture = optional(string, "arm64")
    bucket = optional(object({
      force_destroy   = optional(bool)
      name            = optional(string)
      noncurrent_days = optional(number)
      prefix          = optional(string)
      suffix          = optional(string)
    }), {})
    chunking = optional(object({
      context = optional(string)
      late    = optional(bool, false)
      overlap = optional(number)
      tokens  = optional(number)
    }), {})
    collection = optional(string)
    # Key of the endpoint that embeds documents and queries.
    endpoint    = optional(string, "embedding")
    environment = optional(map(string))
    ingest = optional(object({
      batch_size            = optional(number)
      batch_window_s        = optional(number)
      concurrency           = optional(number)
      max_receives          = optional(number)
      memory_mb             = optional(number)
      requests_per_function = optional(number)
      storage_mb            = optional(number)
      timeout_s             = optional(number)
    }), {})
    # Zip of the ingest function; defaults to the one that embedstack package-functions builds.
    ingest_package     = optional(string)
    kms_key_arn        = optional(string)
    log_level          = optional(string)
    log_retention_days = optional(number)
    # Hub id of the endpoint's model; required with an artifact or image without model_id.
    model          = optional(string)
    python_version = optional(string, "3.13")
    # Key of the endpoint that reranks; defaults to reranker, or the first such endpoint.
    reranker            = optional(string)
    reserve_concurrency = optional(bool)
    search = optional(object({
      concurrency = optional(number)
      memory_mb   = optional(number)
      storage_mb  = optional(number)
      timeout_s   = optional(number)
      url         = optional(bool)
    }), {})
    # Zip of the search function; defaults to the one that embedstack package-functions builds.
    search_package = optional(string)
    vpc = optional(object({
      security_group_ids = optional(list(string), [])
      subnet_ids         = list(string)
    }))
  })
  default = null

  validation {
    condition = var.pipeline == null ? true : contains(keys(var.endpoints), var.pipeline.endpoint)
    error_message = join(" ", [
      "pipeline.endpoint is \"${try(var.pipeline.endpoint, "")}\" and must be the key of an endpoint:",
      "${join(", ", keys(var.endpoints))}.",
    ])
  }
  validation {
    condition = try(var.endpoints[var.pipeline.endpoint].realtime.async, null) == null
    error_message = join(" ", [
      "pipeline.endpoint has realtime.async, and the functions need immediate responses.",
      "Name another endpoint, or remove async.",
    ])
  }
  validation {
    condition = try(var.endpoints[var.pipeline.endpoint].model.kind, null) != "reranker"
    error_message = join(" ", [
      "pipeline.endpoint is \"${try(var.pipeline.endpoint, "")}\", whose model is a reranker and returns no vectors.",
      "Name an endpoint with an embedding model, and set pipeline.reranker to this one.",
    ])
  }
  validation {
    condition = try(var.pipeline.reranker, null) == null ? true : (
      try(var.endpoints[var.pipeline.reranker].model.kind, null) == "reranker" &&
      try(var.endpoints[var.pipeline.reranker].realtime.async, null) == null
    )
    error_message = join(" ", [
      "pipeline.reranker is \"${try(coalesce(var.pipeline.reranker), "")}\" and must be the key of an endpoint with",
      "model.kind = \"reranker\" and without realtime.async.",
    ])
  }
  validation {
    condition = var.pipeline == null || var.vector_store != null
    error_message = join(" ", [
      "A pipeline needs a vector store.",
      "Set vector_store = { s3_vectors = {} }, or { aurora = { vpc = { subnet_ids = [...] } } }.",
    ])
  }
  validation {
    # The first rule reports an endpoint that does not exist.
    condition = var.pipeline == null ? true : (
      !contains(keys(var.endpoints), var.pipeline.endpoint) || can(coalesce(
        var.pipeline.model,
        var.endpoints[var.pipeline.endpoint].model.hub_id,
        var.endpoints[var.pipeline.endpoint].model.model_id,
      ))
    )
    error_message = join(" ", [
      "pipeline.model is missing: the endpoint's artifact or image does not name the model whose tokens documents",
      "are split by. Set its Hub id, such as \"sentence-transformers/all-MiniLM-L6-v2\".",
    ])
  }
  validation {
    condition = try(
      var.pipeline.model == null || var.pipeline.model == coalesce(
        var.endpoints[var.pipeline.endpoint].model.hub_id,
        var.endpoints[var.pipeline.endpoint].model.model_id,
      ),
      true,
    )
    error_message = join(" ", [
      "pipeline.model is \"${try(coalesce(var.pipeline.model), "")}\", and the endpoint serves another model.",
      "Remove pipeline.model, or name another endpoint.",
    ])
  }
  validation {
    condition = (
      try(var.pipeline.chunking.late, false) ? try(var.endpoints[var.pipeline.endpoint].model.hub_id, null) == null :
      true
    )
    error_message = join(" ", [
      "pipeline.chunking.late requires this project's model server, and hub_id deploys Text Embeddings Inference.",
      "Package the model (embedstack package-model) and set the endpoint's model.artifact, or remove late.",
    ])
  }
  validation {
    condition = var.pipeline == null || !anytrue([
      for key, endpoint in var.endpoints : startswith(coalesce(endpoint.renamed_from, key), "pipeline-")
    ])
    error_message = join(" ", [
      "Endpoint keys that begin with pipeline- lead to names of the",
      "pipeline's own resources. Change the key.",
    ])
  }
}

variable "vector_store" {
  description = "The vector store, exactly one of s3_vectors and aurora (see modules/vector-store), or null."
  type = object({
    aurora = optional(object({
      auto_pause_s        = optional(number)
      backup_days         = optional(number)
      data_api            = optional(bool)
      database            = optional(string)
      deletion_protection = optional(bool)
      engine_version      = optional(string)
      kms_key_arn         = optional(string)
      max_acu             = optional(number)
      min_acu             = optional(number)
      verify_server       = optional(bool)
      vpc = object({
        security_group_ids = optional(list(string), [])
        subnet_ids         = list(string)
      })
    }))
    log_retention_days = optional(number)
    s3_vectors = optional(object({
      bucket_name = optional(string)
      create      = optional(bool)
      kms_key_arn = optional(string)
      retain      = optional(bool)
    }))
  })
  default = null
}
