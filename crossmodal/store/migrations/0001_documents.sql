-- A document, its vector and its sequence number are written in one transaction.
CREATE TABLE documents (
    key       INTEGER PRIMARY KEY AUTOINCREMENT,  -- the id in a vector index; never used again
    id        TEXT    NOT NULL UNIQUE,            -- content-addressed, see docs/architecture.md
    modality  TEXT    NOT NULL CHECK (modality IN ('image', 'text')),
    seq       INTEGER NOT NULL,                   -- order of commit, what an index follows
    uri       TEXT    NOT NULL DEFAULT '',
    mime_type TEXT    NOT NULL DEFAULT '',
    text      TEXT    NOT NULL DEFAULT '',
    width     INTEGER NOT NULL DEFAULT 0,
    height    INTEGER NOT NULL DEFAULT 0,
    image_id  TEXT    NOT NULL DEFAULT '',        -- of a caption: the id of its picture
    tags      TEXT    NOT NULL DEFAULT '{}'       -- JSON
) STRICT;
CREATE UNIQUE INDEX documents_by_seq ON documents (modality, seq);
CREATE INDEX documents_by_image ON documents (image_id) WHERE image_id <> '';

CREATE TABLE vectors (
    key    INTEGER PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    vector BLOB NOT NULL                          -- dim little-endian float32, length 1
) STRICT;

CREATE TABLE thumbnails (
    key  INTEGER PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
) STRICT;

-- The encoded picture itself, only where it came as bytes and there is no file to read it from.
CREATE TABLE pictures (
    key     INTEGER PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE sequence (
    last     INTEGER NOT NULL,
    store_id TEXT    NOT NULL  -- by which a snapshot knows whose it is
) STRICT;
INSERT INTO sequence VALUES (0, lower(hex(randomblob(16))));
