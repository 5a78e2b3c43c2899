# Documents from a bucket into Postgres with pgvector, which pauses while nobody asks. The subnets must exist, in two
# availability zones, with a way to AWS's services. Before, with RDS's certificates, which functions check the database's
# against (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem):
# make lambda ARGS="--architecture arm64 --python 3.13 --database-ca global-bundle.pem"

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
