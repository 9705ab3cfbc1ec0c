#!/usr/bin/env bash
# Schemathesis makes requests of the served OpenAPI description, good and bad, one after another and as
# chains that follow what was answered, for a bounded time. PASSWORD is an API token of the admin USER.
# FUZZ_SECONDS=600 goes on for longer, FUZZ_SEED=17 takes another way.
. "$(dirname "$0")/common.sh"
need_venv schemathesis
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
cp "$HERE/schemathesis.toml" "$HERE/schemathesis_hooks.py" "$W/"
export FUZZ_BASE=$BASE FUZZ_USER=$DAVUSER FUZZ_TOKEN=$DAVPASS FUZZ_SEED=${FUZZ_SEED:-1}
cd "$W" || exit 1
PYTHONPATH=$W timeout --kill-after=10 $((${FUZZ_SECONDS:-75} * 4 + 120)) "$VENV/bin/schemathesis" \
    --config-file schemathesis.toml run "$BASE/api/openapi.json" --header "Authorization: Bearer $DAVPASS" \
    --max-time "${FUZZ_SECONDS:-75}" --seed "$FUZZ_SEED" --no-color >"$W/log" 2>&1
status=$?
sed -n '/FAILURES\|ERRORS/,$p' "$W/log" | head -n 300
[ -s "$W/log" ] && [ $status -ne 0 ] && ! grep -q 'FAILURES\|ERRORS' "$W/log" && tail -n 40 "$W/log"
# "N generated, N passed": nothing generated is nothing checked.
cases=$(sed -n 's/^ *\([0-9]*\) generated.*/\1/p' "$W/log" | tail -n 1)
failed=$(sed -n 's/^ *[0-9]* generated,.* \([0-9]*\) found .* unique failures.*/\1/p' "$W/log" | tail -n 1)
if [ $status -ne 0 ] && [ "${failed:-0}" -eq 0 ]; then failed=1; fi
if [ "${cases:-0}" -lt 100 ]; then echo "only ${cases:-0} requests were made"; failed=$((${failed:-0} + 1)); fi
echo "requests: ${cases:-0}"
summary schemathesis "$([ "${failed:-0}" -eq 0 ] && echo 1 || echo 0)" "${failed:-0}"
