#!/usr/bin/env bash
# blender_chroot.sh DIR: a real Blender (Debian sid's, 5.x) with a virtual screen, mouse and camera, in a chroot.
# For root on a Debian-like system. About a minute and 1.3 GB the first time, at once afterwards. Prints Blender's version.
set -euo pipefail
root=$(realpath -m "${1:?usage: blender_chroot.sh DIR}")
log=$root.log
give_up() { tail -n 5 "$log" >&2; exit 1; }
if [ ! -e "$root/.ready" ]; then
  [ "$(id -u)" = 0 ] || { echo "a chroot needs root" >&2; exit 1; }
  ! grep -qF " $root/" /proc/mounts || { echo "something is mounted under $root" >&2; exit 1; }
  mkdir -p "$root"
  rm -rf --one-file-system "$root"
  if ! command -v debootstrap >/dev/null; then
    { apt-get update && apt-get install -y --no-install-recommends debootstrap; } >"$log" 2>&1 || give_up
  fi
  debootstrap --variant=minbase sid "$root" >"$log" 2>&1 || give_up
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no services are started in here
  chmod +x "$root/usr/sbin/policy-rc.d"
  # sid's Release file can be past its date.
  printf 'Acquire::Check-Valid-Until "false";\nAPT::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/99kmm"
  printf 'force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n' \
    >"$root/etc/dpkg/dpkg.cfg.d/99kmm"
  chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 sh -ec '
    apt-get update
    apt-get install -y blender python3-numpy python3-cattr python3-requests python3-zstandard \
      xvfb xauth xdotool imagemagick libgl1-mesa-dri libegl1 libgl1
    apt-get clean' >>"$log" 2>&1 || give_up
  touch "$root/.ready"
fi
chroot "$root" blender -b --version | head -n 1
