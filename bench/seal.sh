#!/bin/sh
# What sealing costs: the same load on a sealing server and on one whose seal leaves everything in
# clear, in turns, so that what else the machine does meets both. Prints a line per round, and the
# medians' ratio. Usage: bench/seal.sh [ROUNDS] [N]
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} n=${2:-2000}
cargo build --release --manifest-path bench/davbench/Cargo.toml --target-dir target/davbench >&2
server=$(cargo bench --bench seal --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p')
room=$(mktemp -d)
trap 'kill $pids 2>/dev/null || true; rm -rf "$room"' EXIT
pids= port=18190
for round in $(seq "$rounds"); do
    for seal in sealed null; do
        port=$((port + 1))
        "$server" "$seal" "$room/$round-$seal" "127.0.0.1:$port" >"$room/log" 2>&1 &
        pids="$pids $!" server_pid=$!
        until grep -q ready "$room/log"; do sleep 0.1; done
        target/davbench/release/davbench --url "http://127.0.0.1:$port" --name "$seal" \
            --book /dav/addressbooks/demo/bench/ --user demo --password demo --pid "$server_pid" \
            --n "$n" --secs 4 --workloads put,get,initial-sync >>"$room/out.jsonl"
        kill "$server_pid"
        wait "$server_pid" 2>/dev/null || true
        rm -rf "$room/$round-$seal" "$room/$round-$seal.key"
    done
done
cp "$room/out.jsonl" target/seal.jsonl
python3 - target/seal.jsonl <<'END'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
for workload in dict.fromkeys(row["workload"] for row in rows):
    line = [workload]
    for figure in ("rps", "server_cpu_ms_per_req", "seconds"):
        of = {s: [r[figure] for r in rows if r["workload"] == workload and r["name"] == s and r.get(figure)]
              for s in ("sealed", "null")}
        if all(of.values()):
            sealed, null = (statistics.median(of[s]) for s in ("sealed", "null"))
            line.append(f"{figure} sealed {sealed:.4g} null {null:.4g} ratio {sealed / null:.3f}")
    print("; ".join(line))
END
