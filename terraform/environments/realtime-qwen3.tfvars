# Qwen3-Embedding-0.6B (1024 dimensions, 32,768 tokens) with Text Embeddings Inference on one GPU instance.
# Instances are billed by the hour, even without requests.

name        = "nura"
environment = "prod"

endpoints = {
  embedding = {
    # TEI starts only if a batch can have as many tokens as the model reads.
    model = { hub_id = "Qwen/Qwen3-Embedding-0.6B", max_tokens = 32768 }
    realtime = {
      instance_type = "ml.g5.xlarge"
      # The weights are 1.2 GB, and the Hub may be slow.
      startup_timeout_s = 1200
    }
  }
}

alarms = { latency_p95_ms = 500 }
budget = { limit_usd = 1200 }
