-- Searches that users have given a name.
CREATE TABLE saved_searches (
    name  TEXT PRIMARY KEY,
    query TEXT NOT NULL  -- JSON: docs/save.md
) STRICT, WITHOUT ROWID;
