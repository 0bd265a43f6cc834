-- What was removed, so that an index that follows the store hears of it. A removal takes a sequence number of
-- its own. Entries up to `sequence.removals_from` may be gone: an index that knows less starts over.
CREATE TABLE removals (
    seq      INTEGER PRIMARY KEY,
    key      INTEGER NOT NULL,
    modality TEXT    NOT NULL
) STRICT;
ALTER TABLE sequence ADD COLUMN removals_from INTEGER NOT NULL DEFAULT 0;

-- The files that pictures were read from, as they were then: one of the same size and time is not read again.
CREATE TABLE files (
    path     TEXT PRIMARY KEY,
    source   TEXT    NOT NULL,  -- the data set it was found in
    size     INTEGER NOT NULL,  -- bytes
    mtime_ns INTEGER NOT NULL,
    image_id TEXT    NOT NULL REFERENCES documents (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_image ON files (image_id);
CREATE INDEX files_by_source ON files (source);
