# Search in many languages, with two serverless endpoints: multilingual-e5-small (384 dimensions), and a reranker for
# its results. Clients know the prompts of e5 and apply them; .env contains RERANKER_ENDPOINT.

name        = "alex"
environment = "dev"

endpoints = {
  embedding = {
    model      = { hub_id = "intfloat/multilingual-e5-small" }
    serverless = { memory_mb = 3072, max_concurrency = 10 }
  }
  reranker = {
    model      = { hub_id = "BAAI/bge-reranker-base", kind = "reranker" }
    serverless = { memory_mb = 6144, max_concurrency = 5 }
  }
}
