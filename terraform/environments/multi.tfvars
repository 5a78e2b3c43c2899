# Several endpoints in one state: a serverless one, two models that share traffic, and an asynchronous one. Replace the
# bucket with an existing one in the same region.

name        = "alex"
environment = "staging"

endpoints = {
  batch = {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    realtime = {
      instance_type = "ml.c7i.xlarge"
      async = {
        input_path  = "s3://alex-embeddings/batch/requests"
        output_path = "s3://alex-embeddings/batch/answers"
      }
    }
    autoscaling = { max = 2, tracking = {} }
  }
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 2048, max_concurrency = 10 }
  }
  search = {
    endpoint_name = "alex-staging-search"
    model         = { hub_id = "BAAI/bge-m3" }
    realtime = {
      instance_type = "ml.g4dn.xlarge"
      weight        = 9
      variants = {
        candidate = { model = { hub_id = "BAAI/bge-large-en-v1.5" }, instance_type = "ml.g5.xlarge", weight = 1 }
      }
    }
    autoscaling = { max = 3, tracking = { requests_per_second = 20 } }
  }
}

alarms    = {}
budget    = {}
dashboard = true
