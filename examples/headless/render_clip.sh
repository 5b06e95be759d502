#!/bin/sh
# A clip from nothing but prompts: numbered PNG files, an MP4, and the .blend. Needs the installed extension.
#   BLENDER=/path/to/blender ENGINE=cycles examples/headless/render_clip.sh [more options, see docs/blender.md]
set -eu
here=$(dirname "$0")
exec "${BLENDER:-blender}" -b -c kmm --timeline "$here/walk_and_wave.json" --seed 1 \
  --save out/walk.blend --render out/walk/ --render out/walk.mp4 --engine "${ENGINE:-workbench}" --resolution 640x360 "$@"
