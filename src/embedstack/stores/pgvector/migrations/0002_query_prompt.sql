-- Text put before queries. NULL for collections from before this migration.
ALTER TABLE generations ADD COLUMN query_prompt text;
