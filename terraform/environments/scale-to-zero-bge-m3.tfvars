# BGE-M3 on up to five GPU instances, and on none without requests.
# The first request after a pause fails with "no capacity" and starts an instance, which takes five to ten minutes.

name        = "nura"
environment = "dev"

endpoints = {
  embedding = {
    model         = { hub_id = "BAAI/bge-m3" }
    scale_to_zero = { instance_type = "ml.g4dn.xlarge", min = 0, max = 5 }
    # The maximum of one instance, which make test-endpoint measures; half of it per minute is the target.
    autoscaling = { tracking = { requests_per_second = 20 } }
  }
}

budget = { limit_usd = 220 }
