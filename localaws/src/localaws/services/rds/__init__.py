"""Amazon RDS: Aurora PostgreSQL clusters as local Postgres servers."""
