-- The language of a collection's texts, as an ISO 639-1 code, in place of a text search configuration.
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

ALTER TABLE generations DROP COLUMN text_search;
