#!/usr/bin/env bash
# Installs pvectl from the commit that `uses:` names, or the version in VERSION.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
place=$RUNNER_TEMP/pvectl-venv
python3 -m venv "$place"
pip() { "$place/bin/pip" --quiet --disable-pip-version-check "$@"; }
if [ -n "${VERSION:-}" ]; then
  pip install "pvectl==$VERSION"
else
  pip install --constraint "$here/packaging/constraints.txt" "$here"
fi
echo "$place/bin" >> "$GITHUB_PATH"
"$place/bin/pvectl" --version
