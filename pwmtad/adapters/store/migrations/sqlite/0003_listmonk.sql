-- What was done to each stream's Listmonk: the campaigns that are paused by pwmtad, and the send window that was set last.
-- Runs inside a transaction that `sqlite_file.migrate` opens.

CREATE TABLE listmonk_memories (
    stream TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL -- JSON of model.listmonk.ListmonkMemory
) WITHOUT ROWID;
