#!/usr/bin/env bash
# Installs mmum and all it needs into .venv, in the versions of constraints.txt. Called by the Makefile; a second call skips
# what is done, also after an interruption. PYTHON names the interpreter to start from (default: python3).
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
stamp=.venv/installed-$(cat constraints.txt setup.py tools/install.sh | cksum | cut -d ' ' -f 1)
[ -e "$stamp" ] && exit 0

say() { printf '\n[install] %s\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 2; }
# pip, quietly, with a sign of life every 30 seconds
pip_install() {
    local start=$SECONDS
    $python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@" &
    local pid=$!
    trap 'kill $pid 2>/dev/null || true' EXIT
    while kill -0 $pid 2>/dev/null; do
        sleep 1
        (((SECONDS - start) % 30)) || printf '          ... %d s\n' $((SECONDS - start))
    done
    trap - EXIT
    wait $pid || fail "pip install $* did not succeed: read its message above, mend the cause (network, disk), and run make again"
}

PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null || fail "$PYTHON is not there: install Python 3.10 or newer, or name one: make PYTHON=python3.11 ..."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1), and mmum needs 3.10 or newer: make PYTHON=python3.11 ..."
command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
    fail "there is no C++ compiler, and mmcv's operators come as source: install one, for example g++"

say '1/4 a virtual environment in .venv, torch and build tools'
$python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; "$PYTHON" -m venv .venv; }
pip_install --upgrade pip
pip_install torch numpy 'setuptools<81' wheel ninja psutil
say "2/4 mmcv: its operators are compiled from source, 5 to 15 minutes on 2 cores (skipped if it was built before)"
has_operators() { $python -c 'import mmcv.ops' >/dev/null 2>&1; }
export CFLAGS="${CFLAGS:--g0 -O1}"
has_operators || pip_install --no-build-isolation onedl-mmcv
# mmcv brings the OpenCV with windows, which does not load in a container without their system libraries
$python -c 'import cv2' 2>/dev/null || pip_install --no-deps --force-reinstall opencv-python-headless
# pip may have cached a build without operators, and would hand it out for ever
has_operators || pip_install --no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv
has_operators || fail "mmcv's operators do not load ($($python -c 'import mmcv.ops' 2>&1 | tail -1)): remove .venv and run make again"
say '3/4 mmengine, mmdet, mmpretrain, mmseg and the rest'
pip_install torchvision onedl-mmengine onedl-mmdetection onedl-mmpretrain onedl-mmsegmentation
say '4/4 mmum'
pip_install --no-build-isolation -e '.[onedl,mini,test,lint,docs]'
$python -c 'import mmum' >/dev/null
rm -f .venv/installed-*
touch "$stamp"
say "done in $SECONDS s"
