#!/usr/bin/env bash
# make_bpy_venv.sh FOLDER PYTHON=VERSION...: a virtual environment with Blender as a module (bpy), for the tests.
# Takes the first pair whose Python is here and whose wheel can be had, for example python3.13=5.2.3; about 350 MB to download.
# Where there is none it says why, leaves no folder, and exits 0: the tests inside that Blender are then skipped.
set -euo pipefail
folder=${1:?usage: make_bpy_venv.sh FOLDER PYTHON=VERSION...}; shift
repository=$(dirname "$(dirname "$(realpath "$0")")")
why=()

find_python() { # a pyenv has Pythons that are not on the PATH, and shims on it that do not run
  local candidate
  for candidate in "$1" "$HOME/.pyenv/versions/${1#python}".*/bin/python; do
    "$candidate" -c 'import ensurepip, venv' 2>/dev/null && echo "$candidate" && return
  done
  return 1
}

for pair in "$@"; do
  name=${pair%%=*} version=${pair#*=}
  if ! python=$(find_python "$name"); then
    why+=("$name was not found")
    continue
  fi
  echo "Making $folder: Blender $version as a module on $name ..."
  rm -rf "$folder"
  "$python" -m venv "$folder"
  if "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
      "bpy==$version" -r "$repository/requirements/bpy.txt" 2>"$folder.log"; then
    rm -f "$folder.log"
    touch "$folder/ready.stamp"
    exit 0
  fi
  why+=("bpy $version could not be installed on $name: $(grep -v '^$' "$folder.log" | tail -n 1)")
  rm -rf "$folder" "$folder.log"
done
printf 'SKIPPED: no Blender module for %s: ' "$folder" >&2
printf '%s; ' "${why[@]}" >&2
echo >&2
