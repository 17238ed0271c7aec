"""pwmtad guards the reputation of self-hosted sending IPs: it reads mail logs, counts, judges, acts and explains.

In: five layers, each with its own docstring: `cli` > `daemon` > `adapters` > `core` > `config` > `model`.
Out: work at import time and global state; everything is built in `daemon/app.py` or in a command of `cli`.
"""

__version__ = "0.1.0"
