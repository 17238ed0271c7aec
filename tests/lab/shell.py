"""`make shell-lab`: a prompt in a booted lab, with pwmtad in observe mode, for people who want to see for themselves."""

from __future__ import annotations

import sys
from typing import Final

from tests.lab import world
from tests.lab.container import CHECKOUT, missing
from tests.lab.furnish import PROGRAM
from tests.lab.lab import Lab

_HELP: Final = f"""\
The lab: a Debian of its own with Postfix, OpenDKIM and pwmtad. Nothing leaves it, and nothing of it stays. `exit` ends it.

  lab inject 200 google.test yahoo.test     messages of the trucking campaign (from {world.TRUCKING}); domains are taken in turn
  lab become google google-unsolicited 100  a receiver takes 100 more and then answers so; without a number: at once
  lab become google accepts                 it is friendly again
  lab reached                               what receivers saw, whatever logs say: egress, receiver, where, reply code
  lab help                                  this text, and all replies that there are

  pwmtad status | plan | explain ID | halt trucking --why ... | release ID
  tail -f /var/log/mail.log                 what Postfix does;  journalctl -fu pwmtad  what is decided
  postqueue -p; postconf -n; systemctl stop opendkim; ls /etc/opendkim
  vi /etc/pwmtad/pwmtad.toml                mode = "enforce" lets it act;  systemctl restart pwmtad
  systemctl reboot                          and it comes back, with the same disk and the same receivers

Receivers: {" ".join(world.NAMES)}
Domains: google.test yahoo.test hotmail.test m365-1.test dead1.test comcast.test small.test hostile.test down.test ...
Egresses: out01 = 127.0.1.90 (healthcare) ... out20 = 127.0.1.109. All of it: tests/lab/README.md
"""


def main() -> None:
    """Boot, give a prompt, take it down."""
    if why := missing():
        sys.exit(why)
    lab = Lab()
    try:
        lab.boot()
        lab.configure("observe")
        lab.start_pwmtad(at_boot=True)
        lab.write("/usr/local/share/lab-help", _HELP)
        by_hand = f'cd {CHECKOUT} && PYTHONDONTWRITEBYTECODE=1 exec /{PROGRAM}/bin/python3 -m tests.lab.by_hand "$@"'
        lab.write("/usr/local/bin/lab", f"#!/bin/sh\n{by_hand}\n", mode=0o755)
        lab.run(f"ln -s /{PROGRAM}/bin/pwmtad /usr/local/bin/pwmtad")
        sys.stdout.write(_HELP)
        while lab.box.shell() and lab.box.went_down():
            lab.box.wait_until_up()
            sys.stdout.write("It went down and is up again.\n")
    finally:
        lab.end()


if __name__ == "__main__":
    main()
