-- The table of SQLite's 0003. Runs inside a transaction that `postgres.migrate` opens.

CREATE TABLE pwmtad.listmonk_memories (
    host text NOT NULL,
    stream text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (host, stream)
);
