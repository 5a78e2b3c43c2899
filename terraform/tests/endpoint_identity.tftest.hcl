# What an endpoint remembers: its kind, and the key of its resources.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "alex"
  endpoints = {
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = {}
    }
  }
}

run "first_apply" {
  assert {
    condition     = output.endpoint_names == { embedding = "alex-embedding-endpoint" }
    error_message = "The endpoint must be named after its key."
  }
}

run "another_kind_under_the_same_name" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model    = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        realtime = { instance_type = "ml.c7i.xlarge" }
      }
    }
  }

  expect_failures = [terraform_data.endpoint]
}

run "another_kind_beside_the_old_one" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        serverless = {}
      }
      steady = {
        model    = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        realtime = { instance_type = "ml.c7i.xlarge" }
      }
    }
  }
}

run "another_key_for_the_same_name" {
  command = plan

  variables {
    endpoints = {
      search = {
        endpoint_name = "alex-embedding-endpoint"
        model         = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        serverless    = {}
      }
    }
  }

  expect_failures = [terraform_data.endpoint]
}

run "renamed_key" {
  variables {
    endpoints = {
      search = {
        model        = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        renamed_from = "embedding"
        serverless   = {}
      }
    }
  }

  assert {
    condition = (
      output.endpoint_names == { search = "alex-embedding-endpoint" } &&
      output.model_names.search == run.first_apply.model_names.embedding &&
      output.endpoints.search.config_name == run.first_apply.endpoints.embedding.config_name
    )
    error_message = "A renamed endpoint must keep its resources."
  }
  assert {
    condition     = strcontains(output.dotenv, "SAGEMAKER_ENDPOINT=alex-embedding-endpoint\n")
    error_message = "Clients must find the endpoint."
  }
}
