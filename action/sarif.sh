#!/usr/bin/env bash
# Uploads the findings to code scanning, which shows them at their lines in the diff.
set -euo pipefail
file=$RUNNER_TEMP/pvectl/result.sarif
test -s "$file" || exit 0
gh api --silent --method POST "repos/$REPOSITORY/code-scanning/sarifs" \
  -f commit_sha="$COMMIT" -f ref="$REF" -f sarif="$(gzip -c "$file" | base64 -w0)"
