# BGE-M3 (1024 dimensions, 8192 tokens) with Text Embeddings Inference on one to five GPU instances.
# Instances are billed by the hour, even without requests.

name        = "nura"
environment = "prod"

endpoints = {
  embedding = {
    model = { hub_id = "BAAI/bge-m3" }
    realtime = {
      instance_type = "ml.g4dn.xlarge"
      # The weights are 2.3 GB, and the Hub may be slow.
      startup_timeout_s = 1200
      deployment        = { strategy = "canary", percent = 10, bake_s = 300 }
    }
    autoscaling = {
      min = 1
      max = 5
      # The maximum of one instance, which make test-endpoint measures; half of it per minute is the target.
      tracking = { requests_per_second = 20 }
      schedules = {
        evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Europe/Berlin", min = 1, max = 1 }
        morning = { schedule = "cron(0 7 ? * MON-FRI *)", timezone = "Europe/Berlin", min = 1, max = 5 }
      }
    }
  }
}

alarms    = { latency_p95_ms = 500 }
budget    = { limit_usd = 600 }
dashboard = true
# notifications = { emails = ["team@example.com"] }
