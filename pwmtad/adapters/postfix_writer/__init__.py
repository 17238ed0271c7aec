"""What root does to Postfix: main.cf, our tables beside it, reloads, and messages on hold.

`writer` is what the helper serves; `memory` keeps what is ours, `main_cf_file` knows the files, `reading` and `queue` what the
commands say, `commands` runs them. In: values. Out: decisions (core), sockets (adapters/helper).
"""

from pwmtad.adapters.postfix_writer.memory import StateError
from pwmtad.adapters.postfix_writer.queue import Timeouts
from pwmtad.adapters.postfix_writer.writer import PostfixWriter

__all__ = ["PostfixWriter", "StateError", "Timeouts"]
