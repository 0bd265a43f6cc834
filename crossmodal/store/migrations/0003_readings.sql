-- The text that was read in a picture; a row says that the picture was read, also if no text was found. A reading takes
-- a sequence number of its own, which an index of the texts follows.
CREATE TABLE readings (
    key     INTEGER PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    seq     INTEGER NOT NULL UNIQUE,
    content TEXT    NOT NULL,  -- JSON: crossmodal/core/reading.py
    tag     TEXT    NOT NULL   -- the tag `text` of the picture, empty if it has no text
) STRICT;
