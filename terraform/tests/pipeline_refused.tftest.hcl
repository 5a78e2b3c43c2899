# Pipelines that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
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
  vector_store = { environment = {}, kind = "s3_vectors", reading_statements = [], writing_statements = [] }
}

run "invalid_settings" {
  command = plan
  module { source = "./modules/document-pipeline" }

  variables {
    alarms         = { queue_age_minutes = 0 }
    architecture   = "amd64"
    bucket         = { prefix = "/documents/*" }
    chunking       = { tokens = 100, overlap = 60 }
    collection     = "My documents"
    environment    = { AWS_REGION = "eu-west-1", POWERTOOLS_SERVICE_NAME = "documents" }
    kms_key_arn    = "alias/documents"
    python_version = "3.9"
    search         = { memory_mb = 128 }
    vpc            = { subnet_ids = [] }
  }

  expect_failures = [
    var.alarms,
    var.architecture,
    var.bucket,
    var.chunking,
    var.collection,
    var.environment,
    var.kms_key_arn,
    var.python_version,
    var.search,
    var.vpc,
  ]
}

run "missing_packages_low_concurrency_and_unknown_store" {
  command = plan
  module { source = "./modules/document-pipeline" }

  variables {
    endpoint = {
      name        = "alex-embedding-endpoint"
      arn         = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
      concurrency = 2
      model       = "sentence-transformers/all-MiniLM-L6-v2"
    }
    ingest_package = "tests/fixtures/no.zip"
    search_package = "tests/fixtures/no.zip"
    vector_store   = { environment = {}, kind = "opensearch", reading_statements = [], writing_statements = [] }
  }

  expect_failures = [var.ingest, var.ingest_package, var.search_package, var.vector_store]
}

run "database_without_vpc_long_timeout_and_long_environment" {
  command = plan
  module { source = "./modules/document-pipeline" }

  variables {
    environment  = { EMBEDSTACK_DOCUMENT_CONTEXT = join("", [for number in range(1000) : "abc"]) }
    ingest       = { timeout_s = 901 }
    vector_store = { environment = {}, kind = "aurora", reading_statements = [], writing_statements = [] }
  }

  expect_failures = [var.environment, var.ingest, var.vector_store]
}
