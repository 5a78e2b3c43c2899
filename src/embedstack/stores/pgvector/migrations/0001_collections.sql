-- A collection is a name; what it holds is a generation, with a table of its own: records_<id>.
-- A name points to one generation. Pointing it to another is how a collection is switched to a new model.
CREATE TABLE collections (
    name text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE generations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL REFERENCES collections (name) ON DELETE CASCADE,
    -- building: it is to take the collection's place; active: the name points to it; replaced: it did
    state text NOT NULL CHECK (state IN ('building', 'active', 'replaced')),
    -- What its vectors are, as CollectionInfo without the name.
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
