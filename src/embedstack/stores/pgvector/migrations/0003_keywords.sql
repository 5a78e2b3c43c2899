-- Keyword search by BM25. Each generation has an inverted index in three tables, which triggers on its table of records
-- keep up to date in the transaction of each write:
--
--   keyword_documents_<id>  one row per record: its number in the postings, and its length in words
--   keyword_batches_<id>    one row per write, with what it changed; the sums are the statistics of the collection
--   keyword_postings_<id>   one row per term and batch: the documents with that term
--
-- Writes only append batches, so that concurrent writes do not wait for each other. A changed or deleted record stays in
-- the postings, and its number is listed as removed, until compact_keywords(). merge_keywords() keeps the number of
-- batches low.

-- The language of the texts, as an ISO 639-1 code. text_search is the configuration that analyzes them.
ALTER TABLE generations ADD COLUMN language text;

UPDATE generations
SET language = languages.code
FROM (VALUES
    ('arabic', 'ar'), ('armenian', 'hy'), ('basque', 'eu'), ('catalan', 'ca'), ('danish', 'da'), ('dutch', 'nl'),
    ('english', 'en'), ('finnish', 'fi'), ('french', 'fr'), ('german', 'de'), ('greek', 'el'), ('hindi', 'hi'),
    ('hungarian', 'hu'), ('indonesian', 'id'), ('irish', 'ga'), ('italian', 'it'), ('lithuanian', 'lt'),
    ('nepali', 'ne'), ('norwegian', 'no'), ('portuguese', 'pt'), ('romanian', 'ro'), ('russian', 'ru'),
    ('serbian', 'sr'), ('spanish', 'es'), ('swedish', 'sv'), ('tamil', 'ta'), ('turkish', 'tr'), ('yiddish', 'yi')
) AS languages (configuration, code)
WHERE text_search = languages.configuration;

UPDATE generations SET text_search = 'simple' WHERE text_search IS NULL;
ALTER TABLE generations ALTER COLUMN text_search SET NOT NULL;

-- The terms of a text with their frequencies:
--   words: stemmed, without stop words. Punctuation separates words, so that "foo.bar" is found by "bar".
--   identifiers: words joined by punctuation, such as "ERR_CONN_42" or "3.11.0", also as a whole. In a query of several
--   words, words joined by hyphens only are no identifier.
--   abbreviations: letters separated by dots, such as "U.S.", only as a whole. "e.g." and "i.e." are stop words.
--   scripts without spaces between words: pairs of adjacent characters. Texts are also indexed by single characters, for
--   queries of one character.
-- A tsvector has at most 1 MB (PostgreSQL documentation, 12.11), and a character at most 4 bytes.
CREATE FUNCTION keyword_terms(configuration regconfig, body text, is_query boolean)
RETURNS TABLE (term text, frequency integer, is_word boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH shortened AS (
        SELECT left(body, 200000) AS text
    ), normalized AS MATERIALIZED (
        -- Pure ASCII needs no normalization.
        SELECT CASE WHEN octet_length(text) = length(text) THEN text ELSE left(normalize(text, NFKC), 200000) END AS text
        FROM shortened
    ), runs AS MATERIALIZED (
        -- Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean
        SELECT match[1] AS run FROM normalized, regexp_matches(
            text,
            '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3005\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF'
            '\U00020000-\U0003FFFF]+',
            'g'
        ) AS match
        WHERE octet_length(text) > length(text)
    )
    SELECT lexeme, cardinality(positions), true
    FROM normalized, unnest(to_tsvector(configuration, regexp_replace(
        regexp_replace(text, '(?<![[:alnum:].])[[:alpha:]](?:\.[[:alpha:]])+(?![[:alnum:]])', ' ', 'g'),
        '[!-/:-@\[-`{-~\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3005\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF'
        '\U00020000-\U0003FFFF]+',
        ' ', 'g'
    )))
    UNION ALL
    SELECT lower(match[1]), count(*)::integer, false
    FROM normalized, regexp_matches(text, '([[:alnum:]]+(?:[-_.:/@#+\\~$]+[[:alnum:]]+)+)', 'g') AS match
    WHERE length(match[1]) <= 200 AND lower(match[1]) NOT IN ('e.g', 'i.e')
        -- Compounds such as "high-temperature" would weigh twice as much as other words.
        AND NOT (is_query AND match[1] ~ '^[[:alpha:]-]+$' AND btrim(text) ~ '\s')
    GROUP BY 1
    UNION ALL
    SELECT substr(run, start, 2), count(*)::integer, true
    FROM runs, generate_series(1, greatest(length(run) - 1, 1)) AS start
    WHERE length(run) > 1 OR is_query
    GROUP BY 1
    UNION ALL
    SELECT substr(run, start, 1), count(*)::integer, false
    FROM runs, generate_series(1, length(run)) AS start
    WHERE NOT is_query
    GROUP BY 1
$$;

-- Removes and adds documents of a generation as one batch. A posting has 7 bytes: the document's number (4), its length
-- (2) and the term's frequency in it (1), both limited to the largest number that fits.
CREATE FUNCTION write_keywords(generation bigint, removed_ids text[], ids text[], bodies text[])
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    configuration regconfig := (SELECT text_search FROM generations WHERE id = generation);
    removed bytea;
    removed_documents integer;
    removed_length bigint;
    batch bigint;
BEGIN
    EXECUTE format(
        'WITH gone AS (DELETE FROM keyword_documents_%s WHERE id = ANY ($1) RETURNING number, length) '
        'SELECT coalesce(string_agg(int4send(number), ''''), ''''), count(*), coalesce(sum(length), 0) FROM gone',
        generation
    ) INTO removed, removed_documents, removed_length USING removed_ids;
    IF removed_documents = 0 AND coalesce(cardinality(ids), 0) = 0 THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO keyword_batches_%s (size, documents, length, removed) VALUES ($1, $1 - $2, -$3, $4) RETURNING batch',
        generation
    ) INTO batch USING coalesce(cardinality(ids), 0), removed_documents, removed_length, removed;
    EXECUTE format(
        'WITH analyzed AS MATERIALIZED ('
        '    SELECT id, term, frequency, is_word'
        '    FROM unnest($1, $2) AS texts (id, body) LEFT JOIN LATERAL keyword_terms($3, body, false) ON true'
        '), numbered AS ('
        '    INSERT INTO keyword_documents_%1$s (id, length)'
        '    SELECT id, coalesce(sum(frequency) FILTER (WHERE is_word), 0) FROM analyzed GROUP BY id ORDER BY id'
        '    RETURNING id, number, length'
        '), counted AS ('
        '    UPDATE keyword_batches_%1$s SET length = keyword_batches_%1$s.length + added.length'
        '    FROM (SELECT coalesce(sum(length), 0) AS length FROM numbered) AS added WHERE batch = $4'
        ') '
        'INSERT INTO keyword_postings_%1$s (term, batch, documents) '
        'SELECT term, $4, string_agg('
        '    int4send(number) || substr(int4send(least(length, 65535)), 3) || substr(int4send(least(frequency, 255)), 4),'
        '    '''''
        ') FROM analyzed JOIN numbered USING (id) WHERE term IS NOT NULL GROUP BY term',
        generation
    ) USING ids, bodies, configuration, batch;
END
$$;

CREATE FUNCTION keep_keywords() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    generation bigint := TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM write_keywords(generation, '{}', array_agg(id), array_agg(body)) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM write_keywords(generation, array_agg(id), '{}', '{}') FROM old_rows HAVING count(*) > 0;
    ELSE
        PERFORM write_keywords(
            generation,
            (SELECT array_agg(id) FROM (SELECT id, body FROM old_rows EXCEPT SELECT id, body FROM new_rows) AS removed),
            array_agg(id), array_agg(body)
        ) FROM (SELECT id, body FROM new_rows EXCEPT SELECT id, body FROM old_rows) AS added HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

-- Replaces batches by one, which has the same documents. With drop_removed, removed documents are dropped: the batches
-- must be all that a transaction sees, because a batch may list documents of others.
CREATE FUNCTION merge_keyword_batches(generation bigint, batches bigint[], drop_removed boolean)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    removed bytea := '';
    merged bigint;
BEGIN
    IF drop_removed THEN
        EXECUTE format('SELECT string_agg(removed, '''') FROM keyword_batches_%s WHERE batch = ANY ($1)', generation)
        INTO removed USING batches;
    END IF;
    EXECUTE format(
        'WITH gone AS (DELETE FROM keyword_batches_%1$s WHERE batch = ANY ($1) RETURNING size, documents, length, removed) '
        'INSERT INTO keyword_batches_%1$s (size, documents, length, removed) '
        'SELECT sum(size) - length($2) / 4, sum(documents), sum(length), '
        '    CASE WHEN $3 THEN '''' ELSE string_agg(removed, '''') END FROM gone RETURNING batch',
        generation
    ) INTO merged USING batches, removed, drop_removed;
    EXECUTE format(
        'WITH removed AS MATERIALIZED ('
        '    SELECT substr($3, 4 * place + 1, 4) AS number FROM generate_series(0, length($3) / 4 - 1) AS place'
        '), gone AS MATERIALIZED ('
        '    DELETE FROM keyword_postings_%1$s WHERE batch = ANY ($1) RETURNING term, documents || '''' AS documents'
        '), kept AS ('
        '    SELECT term, documents FROM gone WHERE $3 = '''''
        '    UNION ALL'
        '    SELECT term, document FROM gone, generate_series(0, length(documents) / 7 - 1) AS place, '
        '        LATERAL (SELECT substr(documents, 7 * place + 1, 7) AS document) AS split '
        '    WHERE $3 <> '''' AND substr(document, 1, 4) NOT IN (SELECT number FROM removed)'
        ') '
        'INSERT INTO keyword_postings_%1$s (term, batch, documents) '
        'SELECT term, $2, string_agg(documents, '''') FROM kept GROUP BY term',
        generation
    ) USING batches, merged, removed;
END
$$;

-- Merges batches of similar sizes, so that their number grows with the logarithm of the number of records. One
-- transaction merges at a time; others return immediately.
CREATE FUNCTION merge_keywords(generation bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    batches bigint[];
BEGIN
    -- "emb" in hexadecimal, and the generation. Positive numbers lock the building of indexes.
    IF NOT pg_try_advisory_xact_lock(6647138, (-generation)::integer) THEN
        RETURN;
    END IF;
    LOOP
        EXECUTE format(
            'SELECT array_agg(batch) FROM keyword_batches_%s GROUP BY trunc(log(8, greatest(size, 1))) '
            'HAVING count(*) >= 8 ORDER BY min(size) LIMIT 1',
            generation
        ) INTO batches;
        EXIT WHEN batches IS NULL;
        PERFORM merge_keyword_batches(generation, batches, false);
    END LOOP;
    -- Searches read the numbers of removed documents. Dropping them from a large collection takes long, and is left to
    -- compact_keywords().
    EXECUTE format(
        'SELECT array_agg(batch) FROM keyword_batches_%s '
        'HAVING sum(length(removed)) / 4 > greatest(1000, sum(documents) / 4) AND sum(size) <= 50000',
        generation
    ) INTO batches;
    IF batches IS NOT NULL THEN
        PERFORM merge_keyword_batches(generation, batches, true);
    END IF;
END
$$;

-- Drops all removed documents from the postings, and merges all batches unless nearly all documents are in one.
CREATE FUNCTION compact_keywords(generation bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    batches bigint[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(6647138, (-generation)::integer) THEN
        RETURN;
    END IF;
    EXECUTE format(
        'SELECT array_agg(batch) FROM keyword_batches_%s '
        'HAVING sum(length(removed)) > 0 OR sum(size) > 1.1 * max(size)',
        generation
    ) INTO batches;
    IF batches IS NOT NULL THEN
        PERFORM merge_keyword_batches(generation, batches, true);
    END IF;
END
$$;

CREATE FUNCTION create_keywords(generation bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE keyword_documents_%1$s ('
        '    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
        '    id text COLLATE "C" NOT NULL UNIQUE,'
        '    length integer NOT NULL'
        ');'
        'CREATE TABLE keyword_batches_%1$s ('
        '    batch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
        '    size bigint NOT NULL,'       -- documents in its postings
        '    documents bigint NOT NULL,'  -- documents that it added, less those that it removed
        '    length bigint NOT NULL,'     -- words that it added, less those that it removed
        '    removed bytea NOT NULL'      -- numbers of the removed documents, 4 bytes each
        ');'
        'CREATE TABLE keyword_postings_%1$s ('
        '    term text COLLATE "C" NOT NULL,'
        '    batch bigint NOT NULL,'
        '    documents bytea NOT NULL,'
        '    PRIMARY KEY (term, batch)'
        ');'
        -- Numbers do not compress well.
        'ALTER TABLE keyword_postings_%1$s ALTER COLUMN documents SET STORAGE EXTERNAL;'
        'CREATE INDEX ON keyword_postings_%1$s (batch);'
        'CREATE TRIGGER keywords_inserted AFTER INSERT ON records_%1$s REFERENCING NEW TABLE AS new_rows '
        '    FOR EACH STATEMENT EXECUTE FUNCTION keep_keywords(%1$s);'
        'CREATE TRIGGER keywords_updated AFTER UPDATE ON records_%1$s '
        '    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
        '    FOR EACH STATEMENT EXECUTE FUNCTION keep_keywords(%1$s);'
        'CREATE TRIGGER keywords_deleted AFTER DELETE ON records_%1$s REFERENCING OLD TABLE AS old_rows '
        '    FOR EACH STATEMENT EXECUTE FUNCTION keep_keywords(%1$s);',
        generation
    );
END
$$;

-- Index the records of existing generations. Writers wait until the end; searches continue.
DO $$
DECLARE
    generation bigint;
    ids text[];
    bodies text[];
    last text;
BEGIN
    FOR generation IN SELECT id FROM generations LOOP
        PERFORM create_keywords(generation);
        last := '';
        LOOP
            EXECUTE format(
                'SELECT array_agg(id), array_agg(body), max(id) FROM ('
                '    SELECT id, body FROM records_%s WHERE id > $1 ORDER BY id LIMIT 2000'
                ') AS next',
                generation
            ) INTO ids, bodies, last USING last;
            EXIT WHEN ids IS NULL;
            PERFORM write_keywords(generation, '{}', ids, bodies);
            PERFORM merge_keywords(generation);
        END LOOP;
    END LOOP;
    -- The last step, because it stops searches until the end of the transaction.
    FOR generation IN SELECT id FROM generations LOOP
        EXECUTE format('ALTER TABLE records_%s DROP COLUMN IF EXISTS words', generation);
    END LOOP;
END
$$;
