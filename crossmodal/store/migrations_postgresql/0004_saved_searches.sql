-- Searches that users have given a name.
CREATE TABLE saved_searches (
    name  text COLLATE "C" PRIMARY KEY,
    query text NOT NULL  -- JSON: docs/save.md
);
