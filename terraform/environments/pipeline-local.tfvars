# The document pipeline of make pipeline on the local AWS: S3 Vectors, the functions and the endpoint of local.tfvars.
# make pipeline replaces architecture and python_version with those of the machine.

name        = "alex"
environment = "local"

endpoints = {
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 2048, max_concurrency = 10 }
  }
}

vector_store = { s3_vectors = { retain = false } }

pipeline = {
  architecture   = "x86_64"
  python_version = "3.11"
  bucket         = { force_destroy = true }
}

alarms = {}
