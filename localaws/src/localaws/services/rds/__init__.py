"""RDS's Aurora PostgreSQL clusters, each a Postgres with pgvector that runs on this machine."""
