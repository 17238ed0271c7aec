"""Furnishes the container before its first boot: Postfix with twenty egresses, OpenDKIM, pwmtad as its real unit.

Usage: `python -m tests.lab.furnish container ROOT` or `... dns`, from boot.sh.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.lab import world
from tests.lab.postfix_files import MAIN_CF, MASTER_CF, OPENDKIM_CONF, healthcare_route

CHECKOUT: Final = Path(__file__).resolve().parents[2]
SYSTEMD: Final = CHECKOUT / "systemd"
PROGRAM: Final = "opt/pwmtad"
PRISTINE: Final = "/var/lib/lab-pristine"
"""Copies of what tests may change; Lab.reset puts them back."""
KEPT: Final = ("etc/postfix", "etc/opendkim", "etc/opendkim.conf", "etc/systemd/system", "etc/pwmtad")
_ENABLED: Final = ("postfix.service", "opendkim.service")


def furnish(root: Path) -> None:
    """Make the container at `root`, an overlay of the host's own root."""
    _identity(root)
    _postfix(root)
    _opendkim(root)
    _pwmtad(root)
    _units(root)
    for path in KEPT:
        copy = root / PRISTINE.lstrip("/") / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        _run("cp", "-a", str(root / path), str(copy))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)


def _write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write a file anew: what the host may have there, a link for instance, goes first."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def _identity(root: Path) -> None:
    # Without a machine id of its own journald refuses to link its journal (facts of the first runs).
    _write(root, "etc/machine-id", "600d600d600d600d600d600d600d600d\n")
    _write(root, "etc/hostname", world.HOST_NAME.partition(".")[0] + "\n")
    _write(root, "etc/hosts", f"127.0.0.1 localhost\n{world.HOST_ADDRESS} {world.HOST_NAME} mta\n")
    # Debian's units copy it into Postfix's chroot when Postfix starts.
    _write(root, "etc/resolv.conf", f"nameserver {world.DNS}\n")
    _write(root, "etc/mailname", world.HOST_NAME + "\n")
    for folder in ("lab", "var/log/journal"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for old in ("var/log/mail.log", "var/log/mail.err", "var/log/mail.info", "var/log/mail.warn"):
        (root / old).unlink(missing_ok=True)


def _postfix(root: Path) -> None:
    _write(root, "etc/postfix/main.cf", MAIN_CF)
    _write(root, "etc/postfix/master.cf", Path("/etc/postfix/master.cf.proto").read_text(encoding="utf-8") + MASTER_CF)
    _write(root, "etc/postfix/healthcare-route", healthcare_route())
    _write(root, "etc/aliases", "postmaster: root\n")
    _write(root, "etc/postfix/pw-warmup-start", f"{time.time():.0f}\n")  # noqa: TID251  a stamp as the user's script makes it
    for queue in ("active", "bounce", "corrupt", "defer", "deferred", "hold", "incoming", "maildrop"):
        for file in (root / "var/spool/postfix" / queue).rglob("*"):
            if file.is_file():
                file.unlink()
    _run("chroot", str(root), "postalias", "/etc/aliases")


def _opendkim(root: Path) -> None:
    _write(root, "etc/opendkim.conf", OPENDKIM_CONF)
    keys = root / "etc/opendkim/keys"
    keys.mkdir(parents=True, exist_ok=True)
    # 1024 bits: a signature costs a quarter of what 2048 do, and nobody is fooled here.
    _run("openssl", "genrsa", "-out", str(keys / "mail.private"), "1024")
    table = [f"{domain} {domain}:{world.SELECTOR}:/etc/opendkim/keys/mail.private" for domain in world.SIGNED_DOMAINS]
    _write(root, "etc/opendkim/key.table", "\n".join(table) + "\n")
    _write(root, "etc/opendkim/signing.table", "".join(f"*@{domain} {domain}\n" for domain in world.SIGNED_DOMAINS))
    _write(root, "etc/opendkim/internal-hosts", f"127.0.0.1\nlocalhost\n{world.CLIENTS_NET}\n")
    _run("chroot", str(root), "chown", "-R", "opendkim:opendkim", "/etc/opendkim")
    (keys / "mail.private").chmod(0o600)
    keys.chmod(0o700)


def _distributions(name: str, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Collect a distribution and what it needs to run, extras aside."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return  # for another Python or system
    found[key] = distribution
    for requirement in distribution.requires or ():
        if "extra ==" not in requirement and (match := re.match(r"[A-Za-z0-9._-]+", requirement)):
            _distributions(match[0], found)


def _files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[Path, str]]:
    for file in distribution.files or ():
        # Not the link to the checkout that an editable installation is, not scripts, which name the other environment.
        if ".." not in file.parts and file.suffix != ".pth":
            yield Path(str(file.locate())), str(file)


def _pwmtad(root: Path) -> None:
    """Install the program as docs say, in an environment of its own: a copy of this checkout and of what it runs with."""
    program = root / PROGRAM
    shutil.rmtree(program, ignore_errors=True)
    packages = program / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    found: dict[str, importlib.metadata.Distribution] = {}
    _distributions("pwmtad", found)
    for distribution in found.values():
        for source, target in _files(distribution):
            if source.is_file():
                (packages / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, packages / target)
    shutil.copytree(CHECKOUT / "pwmtad", packages / "pwmtad")
    python = Path(sys.executable).resolve()
    (program / "bin").mkdir()
    (program / "bin/python3").symlink_to(python)
    _write(program, "pyvenv.cfg", f"home = {python.parent}\ninclude-system-site-packages = false\n")
    script = f"#!/{PROGRAM}/bin/python3\nimport sys\nfrom pwmtad.cli import main\nsys.exit(main())\n"
    _write(program, "bin/pwmtad", script, 0o755)
    _run(sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/", str(packages))


def _units(root: Path) -> None:
    system = root / "etc/systemd/system"
    # What the host has enabled is not the lab's: databases, cron jobs, timers of packages.
    for folder in (*system.glob("*.wants"), *system.glob("*.requires")):
        shutil.rmtree(folder)
    for noise in (
        "getty.target",
        "systemd-logind.service",
        "systemd-update-utmp.service",
        "systemd-update-utmp-runlevel.service",
    ):
        (system / noise).unlink(missing_ok=True)
        (system / noise).symlink_to("/dev/null")
    # As docs say for busy hosts: journald drops what is above 10,000 lines in 30 s.
    for unit in ("postfix@-.service", "opendkim.service"):
        _write(root, f"etc/systemd/system/{unit}.d/lab.conf", "[Service]\nLogRateLimitIntervalSec=0\n")
    _write(root, "etc/systemd/journald.conf.d/lab.conf", "[Journal]\nStorage=persistent\nSyncIntervalSec=1s\n")
    for file in (*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.socket"), *SYSTEMD.glob("*.timer")):
        _write(root, f"etc/systemd/system/{file.name}", file.read_text(encoding="utf-8"))
    for users in SYSTEMD.glob("*.sysusers"):
        _write(root, f"etc/sysusers.d/{users.stem}.conf", users.read_text(encoding="utf-8"))
    for places in SYSTEMD.glob("*.tmpfiles"):
        _write(root, f"etc/tmpfiles.d/{places.stem}.conf", places.read_text(encoding="utf-8"))
    (root / "etc/pwmtad").mkdir(exist_ok=True)
    _run("systemctl", f"--root={root}", "--quiet", "enable", *_ENABLED)


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["dns"]:
            sys.stdout.write(world.dnsmasq_config())
        case ["container", root]:
            os.umask(0o022)
            furnish(Path(root))
        case other:
            sys.exit(f"not understood: {json.dumps(other)}")


if __name__ == "__main__":
    main()
