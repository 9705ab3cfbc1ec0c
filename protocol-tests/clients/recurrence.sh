#!/usr/bin/env bash
# Recurrence rules against python-dateutil, and calendar objects against recurring-ical-events (PyPI):
# thousands of made-up ones, both sides' instances compared. Needs no server: the same code answers
# through bench/recurrence.rs. Usage: recurrence.sh [RULES [OBJECTS [SEED]]]
# Called as the other runners are, by a URL, it makes up fewer.
case ${1:-} in http*) set -- 800 300 ;; esac
RULES=${1:-4000} OBJECTS=${2:-1500} SEED=${3:-1}
set -- http://127.0.0.1 nobody -
. "$(dirname "$0")/common.sh"
need_venv recurrence
cd "$HERE/../.." || exit 1
# RECURRENCE_PROGRAM names a program that is built already.
answer() { if [ -n "${RECURRENCE_PROGRAM:-}" ]; then "$RECURRENCE_PROGRAM"; else cargo bench -q --profile dev --bench recurrence; fi; }
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
export PYTHONTZPATH=
"$VENV/bin/python" "$HERE/recurrence.py" ask "$W" "$RULES" "$OBJECTS" "$SEED" || exit 1
answer <"$W/questions" >"$W/answers" || { tail -5 "$W/answers"; exit 1; }
timeout 900 "$VENV/bin/python" "$HERE/recurrence.py" compare "$W"
