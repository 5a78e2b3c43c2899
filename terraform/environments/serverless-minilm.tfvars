# all-MiniLM-L6-v2 (384 dimensions) on one serverless endpoint, "alex-embedding-endpoint".
# The region is AWS_REGION or the profile's region.

name        = "alex"
environment = "dev"

endpoints = {
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 2048, max_concurrency = 10 }
  }
}
