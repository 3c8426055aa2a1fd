#!/usr/bin/env bash
# Creates or updates the comment on pull request NUMBER: the plan, or why there is none.
set -euo pipefail
file=$RUNNER_TEMP/pvectl/result.md
if [ ! -s "$file" ]; then
  mkdir -p "$(dirname "$file")"
  echo "pvectl came to no result; see the log of the run." > "$file"
fi
gh pr comment "$NUMBER" --repo "$REPOSITORY" --edit-last --create-if-none --body-file "$file"
