"""`make run`: the daemon in observe mode over the incident it was made for, played as if it were live.

29,000 mails leave over three cold addresses; a minute of yours is an hour of that night. Nothing outside `.run/` is written, no
root and no Postfix is needed. While it runs: `curl -s http://127.0.0.1:9850/metrics | grep pwmtad_attempts_total`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pwmtad.daemon.clock import wall_clock
from tests.tools.loggen.scenarios import TRUCKING

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".run"
SPEED: Final = 60
SKIP_MIN: Final = 11 * 60 + 50
"""Where the play begins: ten minutes of the quiet before."""
TELL_S: Final = 10

CONFIG: Final = """\
# Written by tests/tools/demo.py for `make run`; etc/pwmtad.toml is the commented example.
mode = "observe"

[log]
postfix = "{folder}/mail.log"
opendkim = "mail.log"

[store]
url = "sqlite:{folder}/pwmtad.db"

[http]
listen = "127.0.0.1:9850"
socket = "{folder}/pwmtad.sock"

[postfix]
read_master_cf = false
queue_directory = "{folder}"

[streams.trucking]
egresses = [{egresses}]
pool = true
injector_clients = ["172.18.0.5"]

[streams.trucking.warmup]
start = {start}

{tables}
"""


def main() -> int:
    """Run both until Ctrl-C, or until the daemon ends."""
    config = prepare(FOLDER, datetime.fromtimestamp(wall_clock(), UTC).replace(microsecond=0))
    print(__doc__.partition("\n\n")[2])
    player = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.tools.play", "--scenario", "i1"),
            *("--speed", str(SPEED), "--skip", str(SKIP_MIN), "--to", str(FOLDER / "mail.log")),
        ],
        cwd=ROOT,
    )
    daemon = subprocess.Popen([sys.executable, "-m", "pwmtad", "run", "-c", str(config), "--tell", str(TELL_S)], cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda _number, _frame: daemon.terminate())
    while True:
        try:
            code = daemon.wait()
            break
        except KeyboardInterrupt:  # the terminal sent it to both of them, too
            continue
    player.terminate()
    player.wait()
    return code


def prepare(folder: Path, now: datetime) -> Path:
    """Make a fresh folder with a configuration whose warmup starts today; return the configuration's path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tables = "\n".join(
        f'[egresses.{egress.name}]\naddress = "{egress.ip}"\nsyslog_name = "{egress.tag}"\n' for egress in TRUCKING.egresses
    )
    config = folder / "pwmtad.toml"
    config.write_text(
        CONFIG.format(
            folder=folder,
            egresses=", ".join(f'"{egress.name}"' for egress in TRUCKING.egresses),
            start=now.replace(hour=0, minute=0, second=0).isoformat(),
            tables=tables,
        ),
        encoding="utf-8",
    )
    return config


if __name__ == "__main__":
    sys.exit(main())
