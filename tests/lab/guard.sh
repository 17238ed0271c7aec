#!/bin/sh
# Ends the lab when whoever started it ends, however that happens: the starter holds the other end of our standard input.
# usage: guard.sh PYTHON CHECKOUT FOLDER CGROUP (see boot.sh)
folder=$3 cgroup=$4
trap '' INT TERM HUP
# A shell gives background commands /dev/null as their standard input.
exec 3<&0

setpriv --pdeathsig KILL \
  unshare --mount --net --pid --propagation private --fork --kill-child=KILL --mount-proc "$(dirname "$0")/boot.sh" "$@" </dev/null 3<&- &
lab=$!
(cat <&3 >/dev/null; kill -KILL "$lab") 2>/dev/null &
wait "$lab"

# Control groups outlive their processes, and those that were killed take a while to be gone where much was in memory.
for attempt in $(seq 300); do
  find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup*/$cgroup*" -exec rmdir {} + 2>/dev/null && break
  sleep 0.1
done
rm -rf "$folder"
