#!/usr/bin/env bash
# run_in_chroot.sh DIR COMMAND...: runs COMMAND in the chroot DIR, in a mount namespace of its own: nothing stays mounted.
# BIND, one folder a line, are folders of this machine that are seen in there at the same paths.
set -euo pipefail
root=$(realpath "${1:?usage: run_in_chroot.sh DIR COMMAND...}"); shift
exec unshare --mount --propagation private bash -euc '
root=$1; shift
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
[ ! -d /dev/shm ] || mount --bind /dev/shm "$root/dev/shm"
while IFS= read -r folder; do
  [ -n "$folder" ] || continue
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done <<<"${BIND:-}"
exec chroot "$root" "$@"' _ "$root" "$@"
