# Asynchronous inference for large batches: requests and responses are in S3, and no instance runs while the queue is
# empty. Replace the bucket with an existing one in the same region.

name        = "alex"
environment = "prod"

endpoints = {
  batch = {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    realtime = {
      instance_type = "ml.c7i.xlarge"
      async = {
        concurrency  = 4
        failure_path = "s3://alex-embeddings/batch/failures"
        input_path   = "s3://alex-embeddings/batch/requests"
        output_path  = "s3://alex-embeddings/batch/answers"
      }
    }
    autoscaling = { min = 0, max = 4, tracking = { value = 5 } }
  }
}
