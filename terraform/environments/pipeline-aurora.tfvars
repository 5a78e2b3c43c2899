# A document pipeline with Postgres and pgvector, which pauses without connections. Replace the subnets with existing
# ones in two availability zones, with access to AWS services. Build the packages first, with RDS's certificates
# (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem), with which the functions verify the database:
# embedstack package-functions --architecture arm64 --python 3.13 --database-ca global-bundle.pem

name        = "alex"
environment = "prod"

endpoints = {
  embedding = {
    model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    serverless = { memory_mb = 3072, max_concurrency = 20 }
  }
}

vector_store = {
  aurora = { max_acu = 4, vpc = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] } }
}

pipeline = {
  chunking = { tokens = 200, overlap = 20 }
  ingest   = { timeout_s = 300 }
  vpc      = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] }
}

alarms    = {}
budget    = {}
dashboard = true
