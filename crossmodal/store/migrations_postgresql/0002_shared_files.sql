-- The small files of a collection that all its nodes have a copy of: crossmodal/collection/shared_state.py.
CREATE TABLE shared_files (
    name    text   COLLATE "C" PRIMARY KEY,
    content bytea  NOT NULL,
    version bigint NOT NULL DEFAULT 1  -- raised by every change
);
