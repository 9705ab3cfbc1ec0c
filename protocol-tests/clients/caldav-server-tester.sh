#!/usr/bin/env bash
# caldav-server-tester (PyPI) probes what a CalDAV server supports, a feature at a time. PASS: found whole;
# FAIL: broken, fragile, ungraceful or with a quirk; SKIP: unsupported, unknown, or out of scope (messages
# between calendars, searching people). KEEP_LOG=FILE keeps its report.
. "$(dirname "$0")/common.sh"
need_venv caldav-server-tester
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
cd "$W" || exit 1
HOME=$W timeout 500 "$VENV/bin/caldav-server-tester" --caldav-url "$BASE/" --caldav-username "$DAVUSER" \
    --caldav-password "$DAVPASS" --format text --verbose >"$W/report" 2>/dev/null </dev/null
[ -z "${KEEP_LOG:-}" ] || cp "$W/report" "$KEEP_LOG"
awk '/^## /{f=$2} /^Feature support level found:/{print $NF, f}' "$W/report" | sort >"$W/found"
grep -v '^full' "$W/found" | sed 's/^/  /'
count() { grep -cE "$1" "$W/found"; }
out='(scheduling|principal-search)'
failed=$(grep -E '^(broken|fragile|ungraceful|quirk) ' "$W/found" | grep -cvE " $out")
passed=$(count '^full ')
summary caldav-server-tester "$passed" "$failed" $(($(count .) - passed - failed))
