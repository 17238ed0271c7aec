"""How the lab's host is put back to how it was after its boot, and how that is seen: by looking at everything again.

Shell, because it is one command instead of fifty. A test may have died at any point of anything, so nothing here depends on
what it did: whatever is there and was not after the boot goes, also what belongs to no unit.
"""

from __future__ import annotations

from typing import Final

from tests.lab.furnish import KEPT, PRISTINE

UNITS: Final = "pwmtad.service pwmtad-helper.service pwmtad-helper.socket"
_QUEUES: Final = " ".join(
    f"/var/spool/postfix/{name}"
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "hold", "incoming", "maildrop")
)
# Mounts are units too. What timers of Debian start comes and goes.
_UNITS_NOW: Final = (
    "systemctl list-units --plain --no-legend --full --state=active,activating,reloading,deactivating,failed "
    "--type=service,socket,mount,timer,path | cut -d' ' -f1 | grep -v '^systemd-tmpfiles-clean' | LC_ALL=C sort"
)
# Processes of no unit: `postfix start` by hand makes such (seen: a reset stopped the unit, and that Postfix went on with the
# last test's settings). They are those outside of the container's control groups, as whatever is run in it from outside; this
# command's own are one process group (timeout(1)).
_STRAYS_NOW: Final = (
    "for pid in $(ps -eo pid=,pgid= | awk -v mine=\"$(ps -o pgid= -p $$)\" '$2 != mine + 0 {print $1}'); do "
    "grep -qsE '^[0-9]+:(name=systemd)?:/\\.\\.' /proc/$pid/cgroup && echo $pid; done"
)
_ADDRESSES_NOW: Final = "ip -o address show dev lo | LC_ALL=C sort"
_CHANGED_NOW: Final = f"find /etc -xdev -newer {PRISTINE}/made ! -type d"
_PLACES_NOW: Final = (
    "find /var/lib /run/systemd/system /run/systemd/transient -mindepth 1 -maxdepth 1 2>/dev/null | LC_ALL=C sort"
)

REMEMBER: Final = f"""\
touch {PRISTINE}/made
{_UNITS_NOW} >{PRISTINE}/units
{_ADDRESSES_NOW} >{PRISTINE}/addresses
{_PLACES_NOW} >{PRISTINE}/places
"""
"""Once, after the boot."""

RESET: Final = f"""\
for unit in {UNITS}; do systemctl kill --signal=KILL $unit; systemctl disable --quiet --now $unit; done 2>/dev/null
# A stop waits for deliveries, and OpenDKIM's takes up to 5 s (libmilter's poll): killed meanwhile, both have ended at once.
systemctl stop --no-block postfix.service postfix@-.service opendkim.service
sleep 0.05
systemctl kill --signal=KILL postfix@-.service 2>/dev/null
systemctl kill --signal=KILL opendkim.service 2>/dev/null
systemctl stop postfix.service postfix@-.service opendkim.service
for unit in $({_UNITS_NOW} | LC_ALL=C comm -23 - {PRISTINE}/units); do
  systemctl kill --signal=KILL $unit 2>/dev/null
  systemctl stop $unit
done
for pid in $({_STRAYS_NOW}); do kill -KILL $pid; done 2>/dev/null
find {_QUEUES} -type f -delete
for path in {" ".join(KEPT)}; do rm -rf /$path; cp -a {PRISTINE}/$path /$path; done
rm -rf /var/lib/pwmtad* /run/pwmtad* /var/lib/private/pwmtad* /var/log/mail.log* /var/spool/mail/* /var/mail/*
rm -rf $({_PLACES_NOW} | LC_ALL=C comm -23 - {PRISTINE}/places)
# Of systemd only the folders of running services are there.
find /tmp /var/tmp -xdev -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' \\
  ! -exec mountpoint -q {{}} \\; -exec rm -rf --one-file-system {{}} + 2>/dev/null
systemctl daemon-reload
systemctl reset-failed
journalctl --quiet --rotate --vacuum-time=1us
systemctl start opendkim.service postfix.service
"""

DIFFERENCES: Final = f"""\
{_UNITS_NOW} | diff {PRISTINE}/units - | grep '^[<>]' | sed 's/^</unit ended:/; s/^>/unit of a test:/'
for pid in $({_STRAYS_NOW}); do echo "process of no unit: $(ps -o pid=,args= -p $pid)"; done
for path in {" ".join(KEPT)}; do diff -rq {PRISTINE}/$path /$path; done 2>&1
{_CHANGED_NOW} | sed 's/^/changed: /'
{_PLACES_NOW} | diff {PRISTINE}/places - | grep '^[<>]'
{_ADDRESSES_NOW} | diff {PRISTINE}/addresses - | grep '^[<>]'
find {_QUEUES} -type f | head -3 | sed 's/^/queued: /'
[ "$(grep -c 'daemon started -- version' /var/log/mail.log 2>/dev/null)" = 1 ] || echo "mail.log is not of one start of Postfix"
"""
"""Prints what is otherwise than after the boot; nothing, if nothing is."""
