#!/usr/bin/env bash
# run.sh ZIP WORKER_PYTHON: the built extension in a real Blender with a window, worked with a real mouse.
# Pictures and result.json come to out/gui. Exit code 0 passed, 1 failed, 77 no window could be had (and why).
set -euo pipefail
here=$(dirname "$(realpath "$0")")
repository=$(realpath "$here/../..")
zip=$(realpath "$1") python=$(realpath -s "$2")
chroot=${KMM_CHROOT:-$repository/.venv-blender}
output=$repository/out/gui

no_window() { echo "SKIPPED: no Blender with a window could be had: $1" >&2; exit 77; }
rm -rf "$output"; mkdir -p "$output"
[ "$(id -u)" = 0 ] || no_window "the chroot that it runs in needs root"
# Bound to the same path inside, the system's own would hide the chroot's.
[ "$("$python" -c 'import sys; print(sys.base_prefix)')" != /usr ] ||
  no_window "$python is the system's Python; make .venv with one outside of /usr (PYTHON=... make)"
version=$("$repository/tools/blender_chroot.sh" "$chroot" 2>"$output/chroot.log") ||
  no_window "$(tail -n 1 "$output/chroot.log")"
echo "$version in $chroot"

export BIND="$repository
$("$python" -c 'import sys; print(sys.prefix, sys.base_prefix, sep="\n")')"
inside() {
  "$repository/tools/run_in_chroot.sh" "$chroot" env -u DISPLAY HOME=/root LC_ALL=C.UTF-8 LIBGL_ALWAYS_SOFTWARE=1 \
    BLENDER_USER_RESOURCES="$output/user" "$@"
}
inside blender -b --python-exit-code 1 --python "$here/prepare_user_folder.py" -- "$zip" "$python" >"$output/install.log" 2>&1 ||
  { cat "$output/install.log"; echo "FAILED: the zip could not be installed"; exit 1; }
# The first line that Xvfb needs; without it there is no window at all.
inside xvfb-run -a true >"$output/xvfb.log" 2>&1 || no_window "$(tail -n 1 "$output/xvfb.log")"
inside timeout 1500 xvfb-run -a -s "-screen 0 1600x1200x24 -nolisten tcp" \
  blender --window-geometry 0 0 1600 1200 --python "$here/drive_panel.py" -- "$output" >"$output/blender.log" 2>&1 || true
find "$output/user" -name '*.log' -size -1M -exec cp {} "$output" \; # the worker's
rm -rf "$output/user"

"$python" - "$output" <<'EOF'
import json, pathlib, sys

output = pathlib.Path(sys.argv[1])
if not (output / "result.json").exists():
    print((output / "blender.log").read_text(errors="replace")[-4000:])
    sys.exit("FAILED: Blender ended early; its output stands above")
result = json.loads((output / "result.json").read_text())
for line in result["passed"]:
    print("  passed:", line)
if result["error"]:
    print((output / "blender.log").read_text(errors="replace")[-2000:])
    sys.exit(f"FAILED: {result['error']}")
EOF
echo "Pictures: $output"
