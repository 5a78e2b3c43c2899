"""Amazon S3 Vectors: moto's buckets, indexes, policies and tags, with vectors and texts that can be queried.

Queries are exact; on AWS they are approximate, with an average recall above 90 % according to AWS. Permissions are not
checked: on AWS, full-text queries, returned metadata and filters need ``s3vectors:GetVectors`` in addition to
``s3vectors:QueryVectors`` or ``s3vectors:ListVectors``.
"""
