# Outputs for applications and checks.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan

  override_resource {
    target = module.serverless_endpoint["archive"].aws_sagemaker_endpoint.embeddings
    values = { arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-archive-endpoint" }
  }
  override_resource {
    target = module.serverless_endpoint["embedding"].aws_sagemaker_endpoint.embeddings
    values = { arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint" }
  }
}

# A fixed id, so that names can be compared.
override_resource {
  target          = module.model["archive"].terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

override_resource {
  target          = module.serverless_endpoint["archive"].module.config.terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

override_resource {
  target          = module.model["embedding"].terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

override_resource {
  target          = module.serverless_endpoint["embedding"].module.config.terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

variables {
  name = "alex"
  endpoints = {
    archive = {
      model      = { artifact = "s3://my-models/bge/model.tar.gz" }
      serverless = { memory_mb = 6144, max_concurrency = 5, provisioned_concurrency = 1 }
    }
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2", revision = "main" }
      serverless = {}
    }
  }
}

run "two_endpoints" {
  command = plan

  assert {
    condition = output.endpoint_arns == {
      archive   = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-archive-endpoint"
      embedding = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
    }
    error_message = "The output must contain the endpoints' ARNs by key."
  }
  assert {
    condition = jsondecode(output.invoke_policy_json) == {
      Version = "2012-10-17"
      Statement = [
        {
          Sid    = "InvokeEmbeddingEndpoints"
          Effect = "Allow"
          Action = "sagemaker:InvokeEndpoint"
          Resource = [
            "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-archive-endpoint",
            "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint",
          ]
        },
      ]
    }
    error_message = "The policy must allow only requests to these endpoints."
  }
  assert {
    condition = output.dotenv == join("\n", [
      "AWS_REGION=us-east-1",
      "DEFAULT_AWS_REGION=us-east-1",
      "AWS_ACCOUNT_ID=123456789012",
      "SAGEMAKER_ENDPOINT=alex-embedding-endpoint",
      "EMBEDDING_MODEL=sentence-transformers/all-MiniLM-L6-v2",
      "EMBEDDING_MODEL_REVISION=main",
      "",
    ])
    error_message = ".env must name the endpoint with the key embedding, and its model."
  }
  assert {
    condition = (
      jsonencode(output.endpoints["embedding"]) ==
      jsonencode({
        arn         = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
        artifact    = null
        config_name = output.endpoints["embedding"].config_name
        container   = "tei"
        environment = output.endpoints["embedding"].environment
        hub_id      = "sentence-transformers/all-MiniLM-L6-v2"
        image_uri = join(":", [
          "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu",
          "2.0.1-tei1.9.3-cpu-py310-ubuntu24.04",
        ])
        inference_component     = null
        instance_count          = null
        instance_type           = null
        kind                    = "serverless"
        log_group_name          = "/aws/sagemaker/Endpoints/alex-embedding-endpoint"
        max_concurrency         = 10
        memory_mb               = 2048
        model_arn               = "arn:aws:sagemaker:us-east-1:123456789012:model/mocked"
        model_kind              = "embedding"
        model_name              = output.model_names["embedding"]
        name                    = "alex-embedding-endpoint"
        provisioned_concurrency = null
        revision                = "main"
        role_arn                = "arn:aws:iam::123456789012:role/alex-embedding-role"
        variant                 = "AllTraffic"
        variants                = {}
      })
    )
    error_message = "The endpoint's description must be complete."
  }
  assert {
    condition = (
      startswith(output.model_names["embedding"], "alex-embedding-model-") &&
      startswith(output.endpoints["embedding"].config_name, "alex-embedding-config-")
    )
    error_message = "The names must be those of the model and configuration."
  }
  assert {
    condition     = output.endpoints["embedding"].environment["HF_MODEL_REVISION"] == "main"
    error_message = "The output must contain the container's environment."
  }
  assert {
    condition = (
      output.endpoints["archive"].container == "huggingface" &&
      output.endpoints["archive"].artifact == "s3://my-models/bge/model.tar.gz"
    )
    error_message = "An artifact must be told as such."
  }
  assert {
    condition = (
      output.endpoints["archive"].memory_mb == 6144 &&
      output.endpoints["archive"].provisioned_concurrency == 1
    )
    error_message = "The size must be the endpoint's own."
  }
  assert {
    condition = output.role_arns == {
      archive   = "arn:aws:iam::123456789012:role/alex-archive-role"
      embedding = "arn:aws:iam::123456789012:role/alex-embedding-role"
    }
    error_message = "Every endpoint must have its own role."
  }
}

run "endpoint_that_scales_to_zero" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model         = { artifact = "s3://my-models/bge/model.tar.gz" }
        scale_to_zero = { instance_type = "ml.c7i.xlarge", max = 2 }
      }
    }
  }

  assert {
    condition = (
      output.endpoints["embedding"].inference_component == "alex-embedding-component" &&
      output.endpoints["embedding"].kind == "scale_to_zero" &&
      output.endpoints["embedding"].instance_type == "ml.c7i.xlarge"
    )
    error_message = "The outputs must contain the inference component's name."
  }
  assert {
    condition = (
      jsondecode(output.invoke_policy_json).Statement[0].Resource ==
      [
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-mocked",
        "arn:aws:sagemaker:us-east-1:123456789012:inference-component/alex-embedding-component",
      ]
    )
    error_message = "Callers must be allowed to invoke the component, too."
  }
  assert {
    condition = strcontains(
      output.dotenv,
      "SAGEMAKER_ENDPOINT=alex-embedding-endpoint\nSAGEMAKER_INFERENCE_COMPONENT=alex-embedding-component\n",
    )
    error_message = ".env must name the endpoint and its inference component."
  }
  assert {
    condition = (
      strcontains(output.dotenv, "\n# EMBEDDING_MODEL= ") && !strcontains(output.dotenv, "\nEMBEDDING_MODEL")
    )
    error_message = "Without model_id, .env must name no model."
  }
}

run "artifact_with_model_id" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model = {
          artifact = "s3://my-models/bge/model.tar.gz"
          model_id = "BAAI/bge-m3"
          revision = "5617a9f61b028005a4858fdac845db406aefb181"
        }
        serverless = {}
      }
    }
  }

  assert {
    condition = strcontains(
      output.dotenv,
      "\nEMBEDDING_MODEL=BAAI/bge-m3\nEMBEDDING_MODEL_REVISION=5617a9f61b028005a4858fdac845db406aefb181\n",
    )
    error_message = ".env must name the model in the package."
  }
  assert {
    condition     = lookup(output.endpoints["embedding"].environment, "HF_MODEL_ID", null) == null
    error_message = "The container must serve the package, without HF_MODEL_ID."
  }
}

run "asynchronous_endpoint" {
  command = plan

  variables {
    alarms = {}
    endpoints = {
      batch = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          async         = { input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket/answers" }
        }
      }
      embedding = { model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  assert {
    condition = (
      jsondecode(output.invoke_policy_json).Statement ==
      [
        {
          Sid      = "InvokeEmbeddingEndpoints"
          Effect   = "Allow"
          Action   = "sagemaker:InvokeEndpoint"
          Resource = ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"]
        },
        {
          Sid      = "QueueForEmbeddingEndpoints"
          Effect   = "Allow"
          Action   = "sagemaker:InvokeEndpointAsync"
          Resource = ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-mocked"]
        },
      ]
    )
    error_message = "An asynchronous endpoint needs the action InvokeEndpointAsync."
  }
  assert {
    condition = (
      output.alarm_names["batch/AllTraffic/errors"] == "alex-batch-errors" &&
      output.alarm_names["batch/unhealthy"] == "alex-batch-unhealthy"
    )
    error_message = "The output must contain all alarm names, including composite alarms."
  }
}

run "only_asynchronous_endpoints" {
  command = plan

  variables {
    endpoints = {
      search = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          async         = { input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket/answers" }
        }
      }
      archive = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          async         = { input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket/answers" }
        }
      }
    }
  }

  assert {
    condition = (
      [for statement in jsondecode(output.invoke_policy_json).Statement : statement.Action] ==
      ["sagemaker:InvokeEndpointAsync"]
    )
    error_message = "A policy must have no statement without a resource, which IAM refuses."
  }
  assert {
    condition     = strcontains(output.dotenv, "SAGEMAKER_ENDPOINT=alex-archive-endpoint\n")
    error_message = ".env must name the first endpoint by key if none has the key embedding."
  }
}

run "model_that_clients_do_not_know" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model = {
          hub_id     = "our-team/embedder"
          dimensions = 512
          max_tokens = 32768
          prompts    = { document = "", query = "Instruct: Find the team's \"answer\"\nQuery: " }
        }
        serverless = {}
      }
    }
  }

  assert {
    condition = output.dotenv == join("\n", [
      "AWS_REGION=us-east-1",
      "DEFAULT_AWS_REGION=us-east-1",
      "AWS_ACCOUNT_ID=123456789012",
      "SAGEMAKER_ENDPOINT=alex-embedding-endpoint",
      "EMBEDDING_MODEL=our-team/embedder",
      "EMBEDDING_DIMENSIONS=512",
      "EMBEDDING_MAX_TOKENS=32768",
      "EMBEDDING_QUERY_PROMPT='\"Instruct: Find the team\\'s \\\\\"answer\\\\\"\\\\nQuery: \"'",
      "EMBEDDING_DOCUMENT_PROMPT='\"\"'",
      "",
    ])
    error_message = ".env must contain what the user knows of the model, with the spaces and line breaks of prompts."
  }
  assert {
    condition     = output.endpoints["embedding"].environment["MAX_BATCH_TOKENS"] == "32768"
    error_message = "TEI must accept a batch with the longest text."
  }
}

run "reranker" {
  command = plan

  variables {
    endpoints = {
      embedding = { model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }, serverless = {} }
      second = {
        model         = { hub_id = "BAAI/bge-reranker-v2-m3", kind = "reranker", revision = "main" }
        scale_to_zero = { instance_type = "ml.c7i.xlarge" }
      }
      third = { model = { artifact = "s3://my-models/reranker/model.tar.gz", kind = "reranker" }, serverless = {} }
    }
  }

  assert {
    condition     = output.kinds == { embedding = "embedding", second = "reranker", third = "reranker" }
    error_message = "The output must tell which models rerank."
  }
  assert {
    condition = (
      output.endpoints["second"].model_kind == "reranker" &&
      output.endpoints["second"].environment["HF_TASK"] == "text-classification"
    )
    error_message = "The endpoint must be described as a reranker."
  }
  assert {
    condition = strcontains(
      output.dotenv,
      join("\n", [
        "EMBEDDING_MODEL=sentence-transformers/all-MiniLM-L6-v2",
        "RERANKER_ENDPOINT=alex-second-endpoint",
        "RERANKER_INFERENCE_COMPONENT=alex-second-component",
        "RERANKER_MODEL=BAAI/bge-reranker-v2-m3",
        "RERANKER_MODEL_REVISION=main",
        "",
      ]),
    )
    error_message = ".env must name the endpoint that embeds and the first one that reranks."
  }
}

run "only_a_reranker" {
  command = plan

  variables {
    endpoints = {
      reranker = { model = { hub_id = "cross-encoder/ms-marco-MiniLM-L6-v2", kind = "reranker" }, serverless = {} }
    }
  }

  assert {
    condition = (
      strcontains(output.dotenv, "RERANKER_ENDPOINT=alex-reranker-endpoint\n") &&
      !strcontains(output.dotenv, "SAGEMAKER_ENDPOINT") &&
      !strcontains(output.dotenv, "EMBEDDING_MODEL")
    )
    error_message = "A reranker must not be taken for the endpoint that embeds."
  }
}

run "model_named_like_a_reranker" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "mixedbread-ai/mxbai-rerank-base-v1" }, serverless = {} } }
  }

  expect_failures = [check.rerankers]
}
