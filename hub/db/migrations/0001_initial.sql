-- The hub's tables. Read by SQLite and PostgreSQL: see the notes at the head of hub/db/db.h.
--
-- Ids are UUIDv7 in lower case. Times are microseconds since 1970, UTC. Digests are text,
-- "sha256:HEX". A relation that can change is kept as rows with from_seq and to_seq: the numbers of
-- the audit leaves with which a row began and ended; live is to_seq IS NULL.

CREATE TABLE instance (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
);

-- Keys of this hub that every node shares. Never in a leaf, a log or an answer.
CREATE TABLE secret (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

-- Who ------------------------------------------------------------------------------------------

CREATE TABLE principal (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'robot')),
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    disabled_seq INTEGER
);

-- generation goes up with every change of the secret: what was signed in before is out.
CREATE TABLE credential (
    principal_id TEXT NOT NULL REFERENCES principal (id),
    kind TEXT NOT NULL CHECK (kind IN ('password')),
    hash TEXT NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (principal_id, kind)
);

CREATE TABLE namespace (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    from_seq INTEGER NOT NULL
);

-- scope: a namespace's id, or '' for the whole hub, and then the role is 'admin'.
CREATE TABLE role_grant (
    id TEXT NOT NULL PRIMARY KEY,
    principal_id TEXT NOT NULL REFERENCES principal (id),
    scope TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('read', 'write', 'admin')),
    from_seq INTEGER NOT NULL,
    to_seq INTEGER
);
CREATE UNIQUE INDEX role_grant_live ON role_grant (principal_id, scope) WHERE to_seq IS NULL;

-- What -----------------------------------------------------------------------------------------

-- name is the whole path, its first component the namespace (one component: namespace "_").
CREATE TABLE repository (
    id TEXT NOT NULL PRIMARY KEY,
    namespace_id TEXT NOT NULL REFERENCES namespace (id),
    name TEXT NOT NULL UNIQUE,
    last_number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    from_seq INTEGER NOT NULL
);
CREATE INDEX repository_namespace ON repository (namespace_id);

-- Bytes a client sent, whatever repositories hold them. size is the length of bytes.
CREATE TABLE manifest (
    digest TEXT NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    subject TEXT,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL
);

-- What a manifest points to. kind: config, layer, manifest (child of an index).
CREATE TABLE manifest_blob (
    manifest TEXT NOT NULL REFERENCES manifest (digest),
    digest TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('config', 'layer', 'manifest')),
    size INTEGER NOT NULL,
    PRIMARY KEY (manifest, digest, kind)
) WITHOUT ROWID;
CREATE INDEX manifest_blob_digest ON manifest_blob (digest);

-- A manifest in a repository. number is given at the first push under a tag that is not a signature
-- tag, gapless per repository, and stays with the digest for ever. A deleted version keeps its row:
-- to_seq is set, and pushed again it is live again under the same id and number.
CREATE TABLE version (
    id TEXT NOT NULL PRIMARY KEY,
    repository_id TEXT NOT NULL REFERENCES repository (id),
    digest TEXT NOT NULL,
    number INTEGER,
    pushed_at INTEGER NOT NULL,
    pushed_by TEXT REFERENCES principal (id),
    from_seq INTEGER NOT NULL,
    to_seq INTEGER,
    UNIQUE (repository_id, digest),
    UNIQUE (repository_id, number)
);
CREATE INDEX version_digest ON version (digest);

CREATE TABLE tag (
    repository_id TEXT NOT NULL REFERENCES repository (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER,
    PRIMARY KEY (repository_id, name, from_seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX tag_live ON tag (repository_id, name) WHERE to_seq IS NULL;
CREATE INDEX tag_digest ON tag (repository_id, digest) WHERE to_seq IS NULL;

-- Manifests of a repository whose subject is `subject`, which need not exist.
CREATE TABLE referrer (
    repository_id TEXT NOT NULL REFERENCES repository (id),
    subject TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES manifest (digest),
    artifact_type TEXT NOT NULL,
    descriptor BLOB NOT NULL,
    PRIMARY KEY (repository_id, subject, digest)
) WITHOUT ROWID;

-- Bytes in the blob store; storage_key where the store does not find them by digest.
CREATE TABLE blob (
    digest TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    storage_key TEXT,
    created_at INTEGER NOT NULL
);

-- Blobs a repository may hand out.
CREATE TABLE repo_blob (
    repository_id TEXT NOT NULL REFERENCES repository (id),
    digest TEXT NOT NULL REFERENCES blob (digest),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) WITHOUT ROWID;
CREATE INDEX repo_blob_digest ON repo_blob (digest);

-- Working table. state is what kv_blob_save wrote; repository is a name, since the repository may
-- come into being only with this upload.
CREATE TABLE upload (
    id TEXT NOT NULL PRIMARY KEY,
    repository TEXT NOT NULL,
    principal_id TEXT,
    algorithm TEXT NOT NULL,
    n_received INTEGER NOT NULL,
    state BLOB,
    created_at INTEGER NOT NULL,
    touched_at INTEGER NOT NULL
);
CREATE INDEX upload_touched ON upload (touched_at);

-- Audit ----------------------------------------------------------------------------------------

-- seq counts from 1; the leaf's index in the tree is seq - 1. The other columns repeat what is in
-- the leaf, for finding it.
CREATE TABLE audit_leaf (
    seq INTEGER NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    object_key TEXT,
    object_digest TEXT,
    repo_id TEXT,
    leaf BLOB NOT NULL,
    leaf_hash BLOB NOT NULL
);
CREATE INDEX audit_leaf_object ON audit_leaf (object_key, seq) WHERE object_key IS NOT NULL;
CREATE INDEX audit_leaf_repo ON audit_leaf (repo_id, seq) WHERE repo_id IS NOT NULL;
CREATE INDEX audit_leaf_actor ON audit_leaf (actor_id, seq) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_leaf_digest ON audit_leaf (object_digest, seq) WHERE object_digest IS NOT NULL;

-- Only complete subtrees, never updated. Level 0 holds the leaf hashes.
CREATE TABLE audit_node (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) WITHOUT ROWID;

CREATE TABLE audit_checkpoint (
    size INTEGER NOT NULL PRIMARY KEY,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    note TEXT NOT NULL
);

-- Working table: how many leaves the files under DATA/tlog hold. One row, name 'tlog'.
CREATE TABLE progress (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
);

-- Personal data that a leaf names only by hash; deleting a row deletes the salt, and with it every
-- way from the hash to the value.
CREATE TABLE pii (
    hash TEXT NOT NULL PRIMARY KEY,
    principal_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    salt BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (principal_id, kind, value)
);
