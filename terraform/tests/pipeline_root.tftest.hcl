# A pipeline and a vector store in the root.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "three_instances" {
  command = plan

  variables {
    name         = "alex"
    alarms       = {}
    dashboard    = true
    vector_store = { s3_vectors = {} }
    endpoints = {
      embedding = { model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }, serverless = {} }
      search = {
        model       = { hub_id = "BAAI/bge-m3", revision = "5617a9f61b028005a4858fdac845db406aefb181" }
        realtime    = { instance_type = "ml.c7i.xlarge" }
        autoscaling = { max = 3, tracking = { value = 100 } }
      }
    }
    pipeline = {
      chunking       = { context = "{source}: " }
      endpoint       = "search"
      ingest_package = "tests/fixtures/function.zip"
      search_package = "tests/fixtures/function.zip"
    }
  }

  assert {
    condition = (
      output.pipeline.concurrency == { ingest = 9, search = 3 } &&
      output.pipeline.ingest_function == "alex-pipeline-ingest" &&
      output.pipeline.search_url == "https://mocked.lambda-url.us-east-1.on.aws/"
    )
    error_message = "Three instances must count as a concurrency of twelve."
  }
  assert {
    condition = (
      output.vector_store.kind == "s3_vectors" &&
      strcontains(output.dotenv, "VECTOR_BUCKET=alex-vectors\nVECTOR_STORE=s3vectors\n") &&
      strcontains(output.dotenv, "EMBEDSTACK_DOCUMENT_CONTEXT='{source}: '\n") &&
      strcontains(output.dotenv, "EMBEDSTACK_CHUNK_TOKENS=512\n") &&
      strcontains(output.dotenv, "SAGEMAKER_ENDPOINT=alex-search-endpoint\n") &&
      strcontains(
        output.dotenv,
        "EMBEDDING_MODEL=BAAI/bge-m3\nEMBEDDING_MODEL_REVISION=5617a9f61b028005a4858fdac845db406aefb181\n",
      )
    )
    error_message = ".env must name the store, the pipeline's endpoint and the chunking."
  }
  assert {
    condition = (
      output.pipeline.alarm_names["dead-letters"] == "alex-pipeline-dead-letters" &&
      output.search_policy_json != null
    )
    error_message = "Alarm names must match the pattern that the topic's policy allows."
  }
}

run "without_a_store_for_an_asynchronous_endpoint" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name = "alex"
    endpoints = {
      embedding = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          async         = { input_path = "s3://my-queue/requests", output_path = "s3://my-queue/answers" }
        }
      }
    }
    pipeline = {
      chunking       = { late = true }
      ingest_package = "tests/fixtures/function.zip"
      search_package = "tests/fixtures/function.zip"
    }
  }

  expect_failures = [var.pipeline]
}

run "pipeline_model_missing" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name         = "alex"
    endpoints    = { embedding = { model = { artifact = "s3://my-models/minilm/model.tar.gz" }, serverless = {} } }
    pipeline     = { ingest_package = "tests/fixtures/function.zip", search_package = "tests/fixtures/function.zip" }
    vector_store = { s3_vectors = {} }
  }

  expect_failures = [var.pipeline]
}

run "pipeline_model_other_than_the_endpoints" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name      = "alex"
    endpoints = { embedding = { model = { hub_id = "BAAI/bge-m3" }, serverless = {} } }
    pipeline = {
      ingest_package = "tests/fixtures/function.zip"
      model          = "sentence-transformers/all-MiniLM-L6-v2"
      search_package = "tests/fixtures/function.zip"
    }
    vector_store = { s3_vectors = {} }
  }

  expect_failures = [var.pipeline]
}

run "pipeline_with_a_reranker" {
  command = plan

  variables {
    name         = "alex"
    vector_store = { s3_vectors = {} }
    endpoints = {
      embedding = {
        model      = { hub_id = "our-team/embedder", dimensions = 384, prompts = { query = "query: " } }
        serverless = {}
      }
      fast     = { model = { hub_id = "our-team/fast-reranker", kind = "reranker" }, serverless = {} }
      reranker = { model = { hub_id = "our-team/reranker", kind = "reranker" }, serverless = {} }
    }
    pipeline = {
      ingest_package = "tests/fixtures/function.zip"
      reranker       = "fast"
      search_package = "tests/fixtures/function.zip"
    }
  }

  assert {
    condition = strcontains(
      output.dotenv,
      join("\n", [
        "EMBEDDING_MODEL=our-team/embedder",
        "EMBEDDING_DIMENSIONS=384",
        "EMBEDDING_QUERY_PROMPT='\"query: \"'",
        "RERANKER_ENDPOINT=alex-fast-endpoint",
        "RERANKER_MODEL=our-team/fast-reranker",
        "",
      ]),
    )
    error_message = ".env must name the endpoints that the functions use."
  }
}

run "pipeline_on_a_reranker" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name         = "alex"
    endpoints    = { embedding = { model = { hub_id = "our-team/reranker", kind = "reranker" }, serverless = {} } }
    pipeline     = { ingest_package = "tests/fixtures/function.zip", search_package = "tests/fixtures/function.zip" }
    vector_store = { s3_vectors = {} }
  }

  expect_failures = [var.pipeline]
}

run "pipeline_reranker_that_embeds" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name      = "alex"
    endpoints = { embedding = { model = { hub_id = "our-team/embedder" }, serverless = {} } }
    pipeline = {
      ingest_package = "tests/fixtures/function.zip"
      reranker       = "embedding"
      search_package = "tests/fixtures/function.zip"
    }
    vector_store = { s3_vectors = {} }
  }

  expect_failures = [var.pipeline]
}
