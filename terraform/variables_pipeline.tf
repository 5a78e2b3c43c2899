variable "pipeline" {
  description = <<-EOT
    Documents from a bucket into the vector store, and searches in it (see modules/document-pipeline). endpoint is the
    key of the endpoint that embeds, model its model's Hub id where that does not follow from it. Of each function,
    ingest_package and search_package (null: where make lambda builds them for these), architecture and python_version,
    which are those of the packages. collection and chunking say where documents go and how they are cut; bucket, ingest, search,
    environment, kms_key_arn, log_level, log_retention_days, reserve_concurrency and vpc are the module's; alarms are
    raised where var.alarms is set. Null: no pipeline.
  EOT
  type = object({
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
    collection  = optional(string)
    endpoint    = optional(string, "embedding")
    environment = optional(map(string))
    ingest = optional(object({
      batch_size     = optional(number)
      batch_window_s = optional(number)
      concurrency    = optional(number)
      max_receives   = optional(number)
      memory_mb      = optional(number)
      requests       = optional(number)
      storage_mb     = optional(number)
      timeout_s      = optional(number)
    }), {})
    ingest_package      = optional(string)
    kms_key_arn         = optional(string)
    log_level           = optional(string)
    log_retention_days  = optional(number)
    model               = optional(string)
    python_version      = optional(string, "3.13")
    reserve_concurrency = optional(bool)
    search = optional(object({
      concurrency = optional(number)
      memory_mb   = optional(number)
      storage_mb  = optional(number)
      timeout_s   = optional(number)
      url         = optional(bool)
    }), {})
    search_package = optional(string)
    vpc = optional(object({
      security_group_ids = optional(list(string), [])
      subnet_ids         = list(string)
    }))
  })
  default = null

  validation {
    condition     = var.pipeline == null ? true : contains(keys(var.endpoints), var.pipeline.endpoint)
    error_message = "pipeline.endpoint is \"${try(var.pipeline.endpoint, "")}\" and must be the key of one of endpoints: ${join(", ", keys(var.endpoints))}."
  }
  validation {
    condition     = var.pipeline == null ? true : try(var.endpoints[var.pipeline.endpoint].realtime.async, null) == null
    error_message = "pipeline.endpoint has realtime.async, and such an endpoint answers nobody at once: name another one, or leave out async."
  }
  validation {
    condition     = var.pipeline == null || var.vector_store != null
    error_message = "A pipeline needs somewhere to put vectors: set vector_store = { s3_vectors = {} }, or { aurora = { vpc = { subnet_ids = [...] } } }."
  }
  validation {
    condition     = var.pipeline == null ? true : var.pipeline.model != null || try(coalesce(var.endpoints[var.pipeline.endpoint].model.hub_id, var.endpoints[var.pipeline.endpoint].model.model_id), null) != null || !contains(keys(var.endpoints), var.pipeline.endpoint)
    error_message = "pipeline.model is missing: the endpoint's package or image does not say by which model's tokens documents are to be cut. Write its Hub id, such as \"sentence-transformers/all-MiniLM-L6-v2\"."
  }
  validation {
    condition     = try(coalesce(var.endpoints[var.pipeline.endpoint].model.hub_id, var.endpoints[var.pipeline.endpoint].model.model_id) == coalesce(var.pipeline.model, var.endpoints[var.pipeline.endpoint].model.hub_id, var.endpoints[var.pipeline.endpoint].model.model_id), true)
    error_message = "pipeline.model is \"${try(coalesce(var.pipeline.model), "")}\", and the endpoint serves another model: documents would be cut and compared by the wrong one. Leave pipeline.model out, or name another endpoint."
  }
  validation {
    condition     = try(var.pipeline.chunking.late, false) ? try(var.endpoints[var.pipeline.endpoint].model.hub_id, null) == null : true
    error_message = "pipeline.chunking.late needs this project's own model server, and Text Embeddings Inference is another: package the model (make package) and set model.artifact of the endpoint, or leave out late."
  }
  validation {
    condition     = var.pipeline == null || !contains([for key in keys(var.endpoints) : startswith(key, "pipeline-")], true)
    error_message = "Keys of endpoints that begin with pipeline- would make names that the pipeline's own are like. Change the key."
  }
}

variable "vector_store" {
  description = <<-EOT
    Where vectors go, exactly one of (see modules/vector-store):
    - s3_vectors: a vector bucket of S3 Vectors, paid by what is stored and asked;
    - aurora: Aurora PostgreSQL Serverless v2 with pgvector, in vpc.subnet_ids, which pauses while nobody is connected.
    Null: none.
  EOT
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
