"""The host in the lab: its Postfix, its OpenDKIM, its addresses, its logs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from tests.lab import world
from tests.lab.as_booted import DIFFERENCES, REMEMBER, RESET, UNITS
from tests.lab.configuration import PATH as CONFIG_PATH
from tests.lab.container import Container
from tests.lab.furnish import PRISTINE
from tests.tools.daemon import TooLateError, until

_RESET_S: Final = 30.0
"""How long systemd may take to be where it was told to be, on a busy machine."""
_RESTART_OPENDKIM: Final = """\
systemctl stop --no-block opendkim.service
sleep 0.05
systemctl kill --signal=KILL opendkim.service
systemctl stop opendkim.service
systemctl reset-failed opendkim.service
systemctl start opendkim.service
"""


class Host:
    """A host in a container, and what an administrator does to it."""

    def __init__(self) -> None:
        self.move_to(Container())

    def move_to(self, box: Container) -> None:
        """Be in this container from now on; it is not booted yet."""
        self.box = box
        self.run = box.run
        self.read = box.read
        self.write = box.write

    # -- life

    def boot(self) -> None:
        """Boot it, with Postfix, OpenDKIM, DNS and receivers; pwmtad is installed and not started."""
        self.box.start()
        until("Postfix is up", lambda: self.run("postfix status", check=False).code == 0)
        self.run(REMEMBER)

    def reset(self) -> None:
        """Put everything back to how it was after the boot: files, queue, logs, processes, addresses, pwmtad's store. Raises
        TooLateError, with what is otherwise, where that can't be done.
        """
        self.run(RESET)
        for name in world.EGRESSES:
            self._address(name, "replace")
        different = ""

        def as_booted() -> bool:
            nonlocal different
            different = self.run(DIFFERENCES, check=False).out.strip()
            return not different

        try:
            until("the lab is as after its boot", as_booted, patience_s=_RESET_S)
        except TooLateError as error:
            raise TooLateError(f"{error}: {different}") from None

    def reboot(self) -> None:
        """Reboot in order. Receivers and DNS stay: they are the world, not the host."""
        self.box.reboot()

    def pull_the_plug(self) -> None:
        """Cut the power, and boot again."""
        self.box.pull_the_plug()

    def take_address_away(self, egress: str) -> None:
        """Take an egress' address off the host."""
        self._address(egress, "delete")

    def give_address_back(self, egress: str) -> None:
        """Put it back."""
        self._address(egress, "replace")

    def _address(self, egress: str, verb: str) -> None:
        self.box.in_the_network("ip", "address", verb, f"{world.EGRESSES[egress]}/32", "dev", "lo")

    # -- Postfix and OpenDKIM

    def queue(self) -> list[dict[str, Any]]:
        """Return what `postqueue -j` says."""
        return [json.loads(line) for line in self.run("postqueue -j").out.splitlines()]

    def queue_is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.run("postqueue -j").out.strip()

    def flush(self) -> None:
        """`postqueue -f`."""
        self.run("postqueue -f")

    def postconf(self, name: str) -> str:
        """Return a value of main.cf."""
        return self.run(["postconf", "-h", name]).out.strip()

    def set_postfix(self, **values: str) -> None:
        """Set values in main.cf, as an administrator does, and reload. Slow (2 s), as in life."""
        self.run(["postconf", "-e", *(f"{name}={value}" for name, value in values.items())])
        old = set(self.run("pgrep -x qmgr", check=False).out.split())
        self.run("postfix reload")
        until("no qmgr of before is there", lambda: old.isdisjoint(self.run("pgrep -x qmgr", check=False).out.split()))

    def mail_log(self) -> str:
        """Return /var/log/mail.log."""
        return self.read("/var/log/mail.log")

    def journal(self, unit: str) -> str:
        """Return a unit's journal."""
        return self.run(["journalctl", "--no-pager", "-o", "short-iso-precise", "-u", unit]).out

    def set_pool(self, *egresses: str) -> None:
        """Set the pool by hand, as the user's script does."""
        self.set_postfix(
            sender_dependent_default_transport_maps=f"regexp:/etc/postfix/healthcare-route, randmap:{{{','.join(egresses)}}}"
        )

    def sign_only_local_mail(self) -> None:
        """The state of incident I2: OpenDKIM's default, which knows 127.0.0.1 as internal and signs nobody else's mail."""
        self.run("sed -i -e '/^InternalHosts/d' /etc/opendkim.conf\n" + _RESTART_OPENDKIM)

    def sign_all_mail(self) -> None:
        """Undo `sign_only_local_mail`."""
        self.run(f"cp {PRISTINE}/etc/opendkim.conf /etc/opendkim.conf\n" + _RESTART_OPENDKIM)

    # -- looking

    def pwmtad_log(self) -> str:
        """Return what pwmtad logged, its helper included."""
        return self.run("journalctl --no-pager -o cat -u pwmtad.service -u pwmtad-helper.service", check=False).out

    def logs(self) -> dict[str, str]:
        """Return everything worth a look when something went wrong, by file name."""
        commands = {
            "mail.log": "cat /var/log/mail.log",
            "main.cf": "cat /etc/postfix/main.cf",
            "postconf-n.txt": "postconf -n",
            "master.cf": "cat /etc/postfix/master.cf",
            "pwmtad.toml": f"cat {CONFIG_PATH}",
            "journal.log": "journalctl --no-pager -o short-iso-precise",
            "queue.json": "postqueue -j",
            "processes.txt": "ps auxf",
            "units.txt": f"systemctl --no-pager --full status {UNITS} opendkim.service postfix@-.service",
        }
        found = {name: self.run(f"{command} 2>&1", check=False, timeout_s=20).out for name, command in commands.items()}
        return {"pwmtad.log": self.pwmtad_log(), **found}

    def keep_logs(self, folder: Path) -> dict[str, str]:
        """Write `logs()` and the record into a folder; return the logs."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        logs = self.logs()
        for name, text in logs.items():
            (folder / name).write_text(text, encoding="utf-8")
        for file in (*self.box.folder.glob("*.jsonl"), *self.box.folder.glob("*.log")):
            shutil.copy(file, folder / file.name)
        return logs
