#!/bin/sh
# The lab from outside to inside: a network that leads nowhere, the world in it (DNS, receivers), and the Debian that sends to it.
# container.py runs this as the first process of a mount, PID and network namespace of its own: when it dies, however it dies, the
# kernel ends everything in the lab and unmounts what it had. Nothing is written outside of tmpfs and FOLDER.
#
# usage: boot.sh PYTHON CHECKOUT FOLDER CGROUP
#   PYTHON    what runs the tests; it furnishes the container and runs the receivers
#   CHECKOUT  this repository, read-only in the container, at the same path
#   FOLDER    the lab's folder on the host, /lab in the container
#   CGROUP    name of a control group of its own, so that two labs may run at once
set -eu
python=$1 checkout=$2 folder=$3 cgroup=$4
cd "$checkout"

# 0 is the writing process itself (cgroups(7)). Mixed layouts have systemd's own hierarchy beside the unified one.
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  if [ -e "$tree/cgroup.procs" ]; then mkdir -p "$tree/$cgroup"; echo 0 >"$tree/$cgroup/cgroup.procs"; fi
done

# Everything in 127.0.0.0/8 would be local, and a bind address could never be missing: so only what is listed is.
ip link set lo up
ip address add 127.0.0.1/24 dev lo
ip address del 127.0.0.1/8 dev lo
ip address add 127.0.1.1/32 dev lo
ip address add 127.0.2.53/32 dev lo
for last in $(seq 90 109); do ip address add "127.0.1.$last/32" dev lo; done
# `src`: mail of a transport without bind address would otherwise come from the receiver's own address. `quickack`: the milter
# protocol writes in small pieces, and delayed acknowledgements make it 40 ms a piece (3 times as many messages a second without).
ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 quickack 1
ip route add local 127.0.2.0/24 dev lo table local src 127.0.1.1 quickack 1
ip route add local 127.0.3.0/24 dev lo table local src 127.0.1.1 quickack 1

# nspawn keeps its locks and its mount tunnel here, and refuses a /run that lies on a disk.
mount -t tmpfs -o mode=755 lab /run
mkdir -p /run/lab/upper /run/lab/work /run/lab/root
mount -t overlay -o lowerdir=/,upperdir=/run/lab/upper,workdir=/run/lab/work overlay /run/lab/root

"$python" -m tests.lab.furnish dns >/run/lab/dnsmasq.conf
dnsmasq --conf-file=/run/lab/dnsmasq.conf >"$folder/dns.log" 2>&1 &
"$python" -m tests.lab.receivers "$folder" >"$folder/receivers.log" 2>&1 &
"$python" -m tests.lab.furnish container /run/lab/root

# `systemctl reboot` ends nspawn with 133 (its EXIT_FORCE_RESTART, because of --keep-unit), a power-off with 0. Anything else is a
# crash, or a pulled plug (the container's PID 1 was killed): it boots again, with the same disk.
code=133
while [ "$code" -ne 0 ]; do
  code=0
  systemd-nspawn --quiet --directory=/run/lab/root --machine=pwmtad-lab --register=no --keep-unit \
    --resolv-conf=off --timezone=off --link-journal=no \
    --bind-ro="$checkout" --bind="$folder:/lab" --boot </dev/null >>"$folder/console.log" 2>&1 || code=$?
  sleep 0.05
done
