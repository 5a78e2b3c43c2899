-- A collection is a name that points to a generation. Each generation has a table of records: records_<id>.
-- A switch to a new model points the name to another generation.
CREATE TABLE collections (
    name text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE generations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL REFERENCES collections (name) ON DELETE CASCADE,
    -- building: a replacement before the switch; active: the current one; replaced: one before a switch
    state text NOT NULL CHECK (state IN ('building', 'active', 'replaced')),
    -- The properties of its vectors: CollectionInfo without the name.
    model_id text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),
    revision text,
    distance text NOT NULL CHECK (distance IN ('cosine', 'euclidean')),
    context text,
    prompt text NOT NULL,
    chunker text,
    text_search text,
    sparse_dimensions integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    switched_at timestamptz
);

CREATE UNIQUE INDEX one_active_generation ON generations (collection) WHERE state = 'active';
CREATE UNIQUE INDEX one_building_generation ON generations (collection) WHERE state = 'building';
