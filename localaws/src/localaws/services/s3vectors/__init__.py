"""Amazon S3 Vectors in memory: vector buckets, indexes, and vectors that are searched exactly.

The real service searches approximately, with a recall that AWS puts at over 90 % on average; here the nearest vectors
are found every time. It also asks IAM: metadata in an answer, and a filter, need ``s3vectors:GetVectors`` beside
``s3vectors:QueryVectors`` or ``s3vectors:ListVectors``. The local AWS lets every caller do everything, and keeps a
bucket's policy without applying it. Full-text search is not there.
"""
