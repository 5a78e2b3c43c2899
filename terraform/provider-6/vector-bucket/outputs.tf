output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3vectors_vector_bucket.vectors.vector_bucket_arn
}

output "name" {
  description = "Name of the bucket, for vector_store.s3_vectors.bucket_name."
  value       = aws_s3vectors_vector_bucket.vectors.vector_bucket_name
}
