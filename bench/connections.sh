#!/bin/sh
# Durable PUTs over 1, 8, 32 and 128 connections, and beside them what the engine alone does for as
# many writers (`limits group`), in turns, on the same disk. Starts a server of its own.
# Usage: bench/connections.sh PROGRAM DIR [N] [CONNECTIONS..]
#   PROGRAM  the cardkeep to measure    DIR  a directory on the disk to measure
#   N        new cards for each connection count (3000)
set -eu
program=$1 room=$(mktemp -d "$2/connections.XXXXXX") n=${3:-3000}
shift 2
[ $# -eq 0 ] || shift
here=$(cd "$(dirname "$0")" && pwd)
bin=${DAVBENCH_DIR:-$here/davbench/target/release}
[ -x "$bin/davbench" ] || cargo build -q --release --manifest-path "$here/davbench/Cargo.toml"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$room"' EXIT
trap 'exit 130' INT TERM HUP
"$program" serve --demo --data "$room/data" --listen 127.0.0.1:0 >"$room/url" 2>"$room/log" &
server=$!
for _ in $(seq 300); do
    url=$(grep -om 1 'http://127\.0\.0\.1:[0-9]*' "$room/url") && break
    kill -0 "$server" 2>/dev/null || { cat "$room/log" >&2; exit 1; }
    sleep 0.1
done
[ $# -gt 0 ] || set -- 1 8 32 128
for connections; do
    "$bin/davbench" --name cardkeep --url "$url" --book "/dav/addressbooks/demo/c$connections/" \
        --user demo --password demo --pid "$server" --n "$n" --photo-every 0 --conns "$connections" \
        --workloads put
    "$bin/limits" group "$room" "$connections"
done
