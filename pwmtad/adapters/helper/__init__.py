"""The socket between the daemon and its root helper: `server` at the helper's end, `client` at the daemon's.

In: connections and messages (model/helper_protocol). Out: what is done to Postfix (adapters/postfix_writer).
"""

from pwmtad.adapters.helper.client import HelperClient
from pwmtad.adapters.helper.listening import ListenError, bound, inherited
from pwmtad.adapters.helper.server import Actor, HelperServer

__all__ = ["Actor", "HelperClient", "HelperServer", "ListenError", "bound", "inherited"]
