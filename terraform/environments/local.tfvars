# The deployment on the local AWS. AWS_ENDPOINT_URL alone decides between the local AWS and AWS.

name        = "alex"
environment = "local"

endpoints = {
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 2048, max_concurrency = 10 }
  }
}
