#!/bin/sh
# All shots of shots.json with one warm worker: a .blend and an FBX each, and a summary for the farm.
#   BLENDER=/path/to/blender examples/headless/batch.sh [char.blend]
set -eu
here=$(dirname "$0")
exec "${BLENDER:-blender}" -b ${1:+"$1"} -c kmm --shots "$here/shots.json" \
  --save "out/{shot}.blend" --export "out/{shot}.fbx" --summary out/summary.json
