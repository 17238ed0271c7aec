"""Follow a log file: lines and checkpoints out of `mail.log`, whatever rotation does to it.

In: `FileSource` (asynchronous, implements the port `LogSource`) over `Follower` (blocking, without a clock), which
decides where reading goes on. Out: what a line means, and storing the checkpoint. Importers: `daemon/app.py` and tests.

    lines     bytes to lines, pure
    files     plain and packed files, told apart by content
    rotated   the files beside the log, in order
    search    find a checkpoint again
    chain     what comes after a file's end
    follower  the steps
    progress  how much of a backlog was read
    source    threads, wake-ups, signs of life
    trouble   sentences for people
"""

from pwmtad.adapters.tail.source import FileSource

__all__ = ["FileSource"]
