#!/usr/bin/env bash
# From a freshly installed (embedded) Proxmox VE to the declared state, and back to it after an
# out-of-band change. Everything is in .demo/, which is recreated each time.
set -euo pipefail
cd "$(dirname "$0")/.."

DEMO=$PWD/.demo
rm -rf "$DEMO" && mkdir -p "$DEMO/output"
cp -r examples/fresh-pve "$DEMO/pve"
cp -r state "$DEMO/state"

# An API token for pvectl, as an administrator would create it on the node.
bootstrap=$(python3 -c 'import uuid; print(uuid.uuid4())')
mkdir -p "$DEMO/pve/priv"
echo "root@pam!bootstrap $bootstrap" > "$DEMO/pve/priv/token.cfg"

bold=""; plain=""
if [ -t 1 ]; then bold=$(tput bold 2>/dev/null || true); plain=$(tput sgr0 2>/dev/null || true); fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
number=0
run() { # run LINES COMMAND...: shows the first lines of its output; `make demo ALL=1` shows all
    local lines=$1 status=0 file; shift
    number=$((number + 1)); file=.demo/output/$(printf %02d $number).txt
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@" > "$file" 2>&1 || status=$?
    if [ -n "${ALL:-}" ] || [ "$(wc -l < "$file")" -le $((lines + 1)) ]; then
        cat "$file"
    else
        head -n "$lines" "$file"
        printf '  ... %s\n' "$(($(wc -l < "$file") - lines)) more lines in $file"
    fi
    return $status
}
expect() { # expect STATUS LINES COMMAND...
    local want=$1 status=0; shift
    run "$@" || status=$?
    [ "$status" = "$want" ] || { echo "exit status $status, expected $want" >&2; exit 1; }
}

title "An embedded Proxmox VE, over HTTPS on this machine only"
pvectl sandbox "$DEMO/pve" --port 0 > "$DEMO/sandbox.log" 2>&1 &
trap 'kill %1 2>/dev/null; wait 2>/dev/null || true' EXIT
for _ in $(seq 100); do grep -q fingerprint "$DEMO/sandbox.log" && break; sleep 0.1; done
PVECTL_ENDPOINT=$(grep -o 'https://[0-9.:]*' "$DEMO/sandbox.log" | head -n 1)
PVECTL_FINGERPRINT=$(grep -o 'fingerprint [0-9A-F:]*' "$DEMO/sandbox.log" | cut -d ' ' -f 2)
echo "$PVECTL_ENDPOINT serves .demo/pve, laid out like /etc/pve"

export PVECTL_ENDPOINT PVECTL_FINGERPRINT PVECTL_HOME=$DEMO/home
export PVECTL_STATE=.demo/state PVECTL_TOKEN_ID='root@pam!bootstrap' PVECTL_TOKEN_SECRET=$bootstrap
SECRET=$DEMO/state/secrets/felhom-ctl
as_guest() { PVECTL_TOKEN_ID='felhom-ctl@pve!ctl' PVECTL_TOKEN_SECRET=$(cat "$SECRET") "$@"; }
ask() { python3 examples/ask.py "$PVECTL_ENDPOINT" "$DEMO/pve/pve-root-ca.pem" 'felhom-ctl@pve!ctl' "$SECRET" "$@"; }

title "Validate the files, offline"
run 3 pvectl validate

title "Plan: what would change, and for whom"
run 10 pvectl plan --out .demo/plan.json

title "Apply exactly that plan"
run 1 pvectl apply .demo/plan.json --quiet

expect 0 1 pvectl plan --detailed-exitcode

title "The new token's secret is in its file; the token reaches only its own guest"
run 3 ls -l .demo/state/secrets
ask 200 /nodes/demo-felhom/lxc/9001/status/current
ask 403 /nodes/demo-felhom/qemu/9000/status/current

title "Verify the expectations: ask the cluster, and try them as the token itself"
expect 0 2 pvectl verify

title "The guest's token can back up its own guest; for another guest, the task is refused"
disks=$DEMO/pve.run/storage/local-lvm/images
mkdir -p "$disks/vm-9001-disk-0/etc" && echo alive > "$disks/vm-9001-disk-0/etc/sentinel"
cat >> "$DEMO/state/backup.toml" <<'TOML'

[backup.other-guest]
schedule = "03:30"
storage = "local"
guests = [9000]
keep = { last = 1 }
TOML
expect 0 1 as_guest pvectl backup run felhom-nightly --yes --quiet
expect 4 6 as_guest pvectl backup run other-guest --yes --quiet
cp state/backup.toml "$DEMO/state/backup.toml"

title "Can the backup be restored? Restore it under another id, check it, remove it"
cat >> "$DEMO/state/pvectl.toml" <<TOML

[drill]
ids = "9900-9999"
storage = "local-lvm"

[drill.guest.9001]
check = { command = ["sh", "-c", "grep -qx alive '$disks'/vm-\$PVECTL_DRILL_ID-disk-0/etc/sentinel"] }
TOML
expect 0 6 pvectl drill --guest 9001 --yes --quiet

title "Does every guest have a recent backup?"
expect 2 1 pvectl backup status  # guest 9000 is in no job

title "Six nights later, someone reduces the retention"
dump=$DEMO/pve.run/storage/local/dump
archive=$(find "$dump" -name '*.tar.zst' | sort | tail -n 1)
for day in 1 2 3 4 5 6; do
    night=$(python3 -c "import datetime as d; print(d.date.today() - d.timedelta($day))")
    cp "$archive" "$dump/vzdump-lxc-9001-${night//-/_}-02_30_00.tar.zst"
done
sed -i.bak 's/keep = .*/keep = { last = 2 }/' "$DEMO/state/backup.toml"
expect 4 12 pvectl plan --target 'backup.*'
cp state/backup.toml "$DEMO/state/backup.toml"
rm -f "$DEMO/state/backup.toml.bak"

title "An out-of-band change: someone removes the user's half of the token pair"
sed -i.bak 's/:felhom-ctl@pve,felhom-ctl@pve!ctl:/:felhom-ctl@pve!ctl:/' "$DEMO/pve/user.cfg"
rm -f "$DEMO/pve/user.cfg.bak"
ask 403 /nodes/demo-felhom/lxc/9001/status/current
run 3 pvectl explain 'felhom-ctl@pve!ctl' /vms/9001 VM.Backup
expect 4 8 pvectl drift  # an [[expect]] fails as well

title "Restore the declared state"
run 1 pvectl apply --yes --quiet
ask 200 /nodes/demo-felhom/lxc/9001/status/current
expect 0 1 pvectl drift

printf '\n%sDone.%s The cluster is in .demo/pve, the state files in .demo/state. To continue with them:\n\n' "$bold" "$plain"
cat <<'TEXT'
  export PATH="$PWD/.venv/bin:$PATH" PVECTL_STATE=.demo/state PVECTL_ON=sandbox:.demo/pve
  pvectl who-can VM.Backup /vms/9001      # then change .demo/state/*.toml, and
  pvectl plan
TEXT
