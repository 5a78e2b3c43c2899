# What the local AWS of this repository deploys. It would deploy just so on AWS: which of the two it is,
# AWS_ENDPOINT_URL says.

name        = "alex"
environment = "local"

endpoints = {
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 2048, max_concurrency = 10 }
  }
}
