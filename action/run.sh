#!/usr/bin/env bash
# Runs pvectl and keeps its output: text in the log, Markdown in the step summary, SARIF, JSON and
# the page of a plan in $RUNNER_TEMP/pvectl. Failures are written there, too. Nothing is written
# into the checkout.
set -euo pipefail
results=$RUNNER_TEMP/pvectl
rm -rf "$results" && mkdir -p "$results"
if [ -n "${SETTINGS:-}" ]; then
  printf '%s\n' "$SETTINGS" > "$RUNNER_TEMP/pvectl-settings.toml"   # outside the checkout
  export PVECTL_SETTINGS=$RUNNER_TEMP/pvectl-settings.toml
fi
export PVECTL_STATE=$STATE PVECTL_RUN_URL=$RUN_URL
show=(--format text --format "markdown=$results/result.md" --format "json=$results/result.json")
# Through a link, the lines of another file would be printed as unused.
if [ -n "${ALLOW:-}" ] && [ -f "$ALLOW" ] && [ ! -L "$ALLOW" ] && [ ! -L "$(dirname "$ALLOW")" ]; then
  while read -r line || [ -n "$line" ]; do
    case $line in '' | '#'*) ;; *) allow+=(--allow "$line") ;; esac
  done < "$ALLOW"
fi
status=0
case $COMMAND in
  plan)
    pvectl plan --detailed-exitcode ${PLAN:+--out "$PLAN"} ${allow+"${allow[@]}"} "${show[@]}" \
      --format "sarif=$results/result.sarif" --format "html=$results/plan.html" || status=$?
    ;;
  apply) pvectl apply "$PLAN" "${show[@]}" || status=$? ;;
  drift) pvectl drift "${show[@]}" --format "sarif=$results/result.sarif" || status=$? ;;
  *) echo "command '$COMMAND' is not known: plan, apply or drift" >&2; exit 64 ;;
esac
test ! -f "$results/result.md" || cat "$results/result.md" >> "$GITHUB_STEP_SUMMARY"
echo "status=$status" >> "$GITHUB_OUTPUT"
if [ "$COMMAND" = plan ] && [ "$status" = 2 ]; then exit 0; fi   # changes are not a failure of a plan
exit "$status"
