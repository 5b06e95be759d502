#!/usr/bin/env bash
# run_batch.sh ZIP WORKER_PYTHON: the headless examples, copied from docs/blender.md, in a real Blender with the built extension.
# What they make comes to out/batch. Exit code 0 passed, 1 failed, 77 no Blender could be had (and why).
set -euo pipefail
here=$(dirname "$(realpath "$0")")
repository=$(realpath "$here/../..")
zip=$(realpath "$1") python=$(realpath -s "$2")
chroot=${KMM_CHROOT:-$repository/.venv-blender}
output=$repository/out/batch

no_blender() { echo "SKIPPED: no Blender could be had: $1" >&2; exit 77; }
rm -rf "$output"; mkdir -p "$output"
[ "$(id -u)" = 0 ] || no_blender "the chroot that it runs in needs root"
# Bound to the same path inside, the system's own would hide the chroot's.
[ "$("$python" -c 'import sys; print(sys.base_prefix)')" != /usr ] ||
  no_blender "$python is the system's Python; make .venv with one outside of /usr (PYTHON=... make)"
version=$("$repository/tools/blender_chroot.sh" "$chroot" 2>"$output/chroot.log") ||
  no_blender "$(tail -n 1 "$output/chroot.log")"
echo "$version in $chroot"
cp -r "$repository/examples" "$output"
cp "$zip" "$output/kmm.zip"  # where the chroot sees it

# The commands as an animator copies them: the first block of each of the two chapters.
"$python" - "$repository/docs/blender.md" "$output/commands.sh" <<'EOF'
import pathlib, re, sys

text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
blocks = [
    re.search(r"```\n(.*?)```", text.partition(f"\n{heading}\n")[2], re.DOTALL).group(1)
    for heading in ("# Without a window: `blender -b`", "## Batches and farms")
]
# Without char.blend, which is a name for the reader's own file, the batch has a stage too.
pathlib.Path(sys.argv[2]).write_text("\n".join(blocks).replace(" char.blend", ""), encoding="utf-8")
EOF

export BIND="$repository
$("$python" -c 'import sys; print(sys.prefix, sys.base_prefix, sep="\n")')"
"$repository/tools/run_in_chroot.sh" "$chroot" env -u DISPLAY HOME=/root LC_ALL=C.UTF-8 LIBGL_ALWAYS_SOFTWARE=1 \
  BLENDER_USER_RESOURCES="$output/user" KMM_PYTHON="$python" sh -ec '
    cd "$1"
    blender --command extension install-file --repo user_default --enable kmm.zip
    . ./commands.sh
    # With a .blend, where Blender gives -c no window.
    blender -b out/walk.blend -c kmm --export out/again.fbx' _ "$output" >"$output/blender.log" 2>&1 ||
  { tail -n 30 "$output/blender.log"; echo "FAILED: its output stands above"; exit 1; }
rm -rf "$output/user" "$output/kmm.zip"

cd "$output/out"
[ "$(find walk -name '[0-9]*.png' -size +5k | wc -l)" = 90 ] || { echo "FAILED: out/batch/out/walk has not 90 pictures"; exit 1; }
for file in walk.mp4 walk.blend shot_010.blend shot_020.blend shot_010.fbx shot_020_1.fbx shot_020_2.fbx again.fbx; do
  [ -s "$file" ] || { echo "FAILED: there is no out/batch/out/$file"; exit 1; }
done
grep -q '"failed": 0' summary.json || { echo "FAILED: out/batch/out/summary.json has a failed shot"; exit 1; }
grep -c "Starting the worker" "$output/blender.log" | grep -qx 3 || { echo "FAILED: expected one worker a command"; exit 1; }
echo "Pictures and film: $output/out/walk, $output/out/walk.mp4"
