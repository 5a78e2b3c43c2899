# Documents from a bucket into S3 Vectors, by functions and the endpoint of local.tfvars: what make pipeline deploys on
# the local AWS. make lambda builds this machine's packages; on a machine with another architecture or Python, make
# pipeline uses a copy of this file with its own.

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
