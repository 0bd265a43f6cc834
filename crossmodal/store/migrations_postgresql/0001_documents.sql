-- The tables of one store, in a schema of their own. A document, its vector and its sequence number are written in one
-- transaction. Text has the collation "C", so that it is ordered by code point, as in SQLite.
CREATE TABLE documents (
    key       bigint PRIMARY KEY,                      -- the id in a vector index; never used again
    id        text   COLLATE "C" NOT NULL UNIQUE,      -- content-addressed, see docs/architecture.md
    modality  text   COLLATE "C" NOT NULL CHECK (modality IN ('image', 'text')),
    seq       bigint NOT NULL,                         -- order of commit, what an index follows
    uri       text   COLLATE "C" NOT NULL DEFAULT '',
    mime_type text   COLLATE "C" NOT NULL DEFAULT '',
    text      text   COLLATE "C" NOT NULL DEFAULT '',
    width     bigint NOT NULL DEFAULT 0,
    height    bigint NOT NULL DEFAULT 0,
    image_id  text   COLLATE "C" NOT NULL DEFAULT '',  -- of a caption: the id of its picture
    tags      jsonb  NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX documents_by_seq ON documents (modality, seq);
CREATE INDEX documents_by_image ON documents (image_id) WHERE image_id <> '';

-- Vectors and pictures don't compress. A vector that fits into a page is stored in its row: a follower that reads all
-- of them would otherwise look up each in the TOAST table.
CREATE TABLE vectors (
    key    bigint PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    vector bytea NOT NULL                              -- dim little-endian float32, length 1
) WITH (toast_tuple_target = 8160);

CREATE TABLE thumbnails (
    key  bigint PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    jpeg bytea NOT NULL
);

-- The encoded picture itself, only if it came as bytes and there is no file to read it from.
CREATE TABLE pictures (
    key     bigint PRIMARY KEY REFERENCES documents (key) ON DELETE CASCADE,
    content bytea NOT NULL
);

ALTER TABLE vectors ALTER COLUMN vector SET STORAGE EXTERNAL;
ALTER TABLE thumbnails ALTER COLUMN jpeg SET STORAGE EXTERNAL;
ALTER TABLE pictures ALTER COLUMN content SET STORAGE EXTERNAL;

-- One row. Every transaction that writes locks it first and updates it last, so that sequence numbers order as commits.
CREATE TABLE sequence (
    last          bigint  NOT NULL,
    last_key      bigint  NOT NULL,
    removals_from bigint  NOT NULL,  -- removals up to this number may be gone: an index that knows less starts over
    version       bigint  NOT NULL,  -- of the content: raised by every transaction
    epoch         integer NOT NULL,  -- raised by the first transaction after a promotion, which may have lost commits
    timeline      integer NOT NULL,  -- of the server at the last transaction, by which a promotion is noticed
    store_id      text    NOT NULL,
    is_closed     boolean NOT NULL   -- another generation of the collection is the current one
);
INSERT INTO sequence VALUES (0, 0, 0, 0, 0, 0, replace(gen_random_uuid()::text, '-', ''), false);

-- A removal takes a sequence number of its own, so that an index that follows the store hears of it.
CREATE TABLE removals (
    seq      bigint PRIMARY KEY,
    key      bigint NOT NULL,
    modality text   COLLATE "C" NOT NULL
);

-- The files that pictures were read from, as they were then: one of the same size and time is not read again. Paths may
-- be longer than an entry of a B-tree.
CREATE TABLE files (
    path     text   COLLATE "C" NOT NULL,
    source   text   COLLATE "C" NOT NULL,  -- the data set it was found in
    size     bigint NOT NULL,              -- bytes
    mtime_ns bigint NOT NULL,
    image_id text   COLLATE "C" NOT NULL REFERENCES documents (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX files_by_path ON files (md5(path));
CREATE INDEX files_by_image ON files (image_id);
CREATE INDEX files_by_source ON files USING hash (source);
