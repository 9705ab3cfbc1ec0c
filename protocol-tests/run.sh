#!/usr/bin/env bash
# Installs what the tests need and runs them all: formatting and lints, unit and protocol tests, then
# the built program under real clients (clients/), the load generator (../bench) and made-up requests of
# the API's description (Schemathesis) for a moment.
#
#   protocol-tests/run.sh [lint] [test] [clients] [bench] [fuzz]      (all of them when none is named)
#
# Installing needs Debian and root; elsewhere the clients that are missing are named and left out.
# The last line is `N passed, N failed`; the exit status is 0 only when nothing failed.
set -u -o pipefail
exec </dev/null
cd "$(dirname "$0")/.." || exit 1
export CARGO_TERM_COLOR=never
parts=" ${*:-lint test clients bench fuzz} "
work=$(mktemp -d) passed=0 failed=0 left_out=() server=
began=$SECONDS

finish() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

say() { printf '== %s (%d s)\n' "$*" $((SECONDS - began)); }
wanted() { case $parts in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
good() { passed=$((passed + ${1:-1})); }
bad() { # bad NAME LOG [COUNT]: names what failed and shows the end of its log
    failed=$((failed + ${3:-1}))
    echo "FAILED: $1"
    [ -f "$2" ] && tail -n 120 "$2" | sed 's/^/    /'
}
step() { # step NAME SECONDS COMMAND...: one check
    local name=$1 limit=$2 log=$work/step.log
    shift 2
    say "$name"
    if timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1; then good; else bad "$name" "$log"; return 1; fi
}
can_install() { [ -r /etc/debian_version ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

prepare() {
    if can_install; then
        say "apt-get update"
        apt-get -q update >"$work/apt.log" 2>&1 || { echo "apt-get update failed:"; tail -n 3 "$work/apt.log"; }
        local missing=()
        command -v cc >/dev/null || missing+=(build-essential)
        command -v curl >/dev/null || missing+=(curl ca-certificates)
        command -v openssl >/dev/null || missing+=(openssl)
        command -v python3 >/dev/null || missing+=(python3)
        [ -x /usr/sbin/slapd ] || missing+=(slapd)
        command -v ldapmodify >/dev/null || missing+=(ldap-utils)
        [ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
            bad "installing ${missing[*]}" "$work/apt.log"
    fi
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install Rust 1.95 or later, see https://rustup.rs" >"$work/cargo.log"
        bad "looking for a Rust toolchain" "$work/cargo.log"
        return 1
    fi
    if command -v rustup >/dev/null && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy >"$work/rustup.log" 2>&1 || bad "rustup component add" "$work/rustup.log"
    fi
}

# Adds up what cargo's test harnesses say; a harness that died without a verdict is a failure too.
cargo_tests() {
    local log=$work/test.log counts status=0 line
    say "cargo test"
    timeout --kill-after=10 1500 cargo test --locked --no-fail-fast >"$log" 2>&1 || status=$?
    counts=$(sed -n 's/^test result: [a-zA-Z]*\. \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" |
        awk '{p += $1; f += $2} END {print p + 0, f + 0}')
    good "${counts% *}"
    # A test whose means are missing passes for cargo, and not for us.
    while read -r line; do
        left_out+=("${line#left out: }")
        passed=$((passed - 1))
        case $line in *slapd*) ! can_install || bad "$line" /dev/null ;; esac
    done < <(grep -o 'left out: .*' "$log" | sort -u)
    if [ "${counts#* }" -gt 0 ]; then
        bad "cargo test" "$log" "${counts#* }"
    elif [ $status -ne 0 ]; then
        bad "cargo test ended with status $status" "$log"
    fi
}

# Starts the program on a free port with a fresh user; sets url, user, password.
start_server() {
    local program=$target/debug/cardkeep data=$work/data
    user=probe
    {
        head -c 18 /dev/urandom | base64 | "$program" user add "$user" --password-stdin --data "$data" &&
            "$program" token create --user "$user" --kind app --data "$data" >"$work/token"
    } >"$work/account.log" 2>&1 || { bad "making an account" "$work/account.log"; return 1; }
    password=$(tail -n 1 "$work/token")
    # Made-up requests make up credentials too, from the address that all of this comes from, and are many.
    CARDKEEP_LIMITS__LOGIN_ATTEMPTS=1000000 CARDKEEP_API__RATE_LIMIT=1000000 "$program" serve --data "$data" --listen 127.0.0.1:0 >"$work/url" 2>"$work/server.log" &
    server=$!
    for _ in $(seq 300); do
        url=$(grep -om 1 'http://127\.0\.0\.1:[0-9]*' "$work/url") && return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    bad "starting the server" "$work/server.log"
    return 1
}

client() { # client NAME: one real client's checks
    local log=$work/$1.log line counts status=0
    say "client: $1"
    # Installing what one of them needs may take most of this.
    timeout --kill-after=10 1200 protocol-tests/clients/"$1".sh "$url" "$user" "$password" >"$log" 2>&1 || status=$?
    if [ $status -eq 77 ]; then
        left_out+=("$(tail -n 1 "$log")")
        # Where everything can be installed, a client that did not run is not a client that passed.
        if can_install; then bad "client $1" "$log"; fi
        return
    fi
    line=$(grep -E '^[a-z-]+: PASS [0-9]+ FAIL [0-9]+ SKIP [0-9]+$' "$log" | tail -n 1)
    counts=$(echo "$line" | sed 's/.*PASS \([0-9]*\) FAIL \([0-9]*\) .*/\1 \2/')
    echo "   ${line:-no verdict, status $status}"
    [ -z "$line" ] || good "${counts%% *}"
    if [ -z "$line" ] || [ "${counts#* }" -gt 0 ]; then
        bad "client $1" "$log" "${counts#* }"
    elif [ $status -ne 0 ]; then
        bad "client $1 ended with status $status" "$log"
    fi
}

# Recurrence rules against other programs; the first run builds what answers them.
recurrences() {
    step "building what recurs" 1500 cargo bench --locked --no-run --profile dev --bench recurrence || return
    client recurrence
}

# Every workload of the load generator, briefly: any answer that is not right counts.
load() {
    local out=$work/load.jsonl log=$work/load.log
    step "building the load generator" 900 \
        cargo build --locked --manifest-path bench/davbench/Cargo.toml --target-dir "$target/davbench" || return
    say "load: every workload for a second"
    timeout --kill-after=10 300 "$target/davbench/debug/davbench" --name cardkeep --url "$url" \
        --book "/dav/addressbooks/$user/load/" --user "$user" --password "$password" \
        --n 150 --conns 4 --secs 1 --cap 60 --rounds 3 >"$out" 2>"$log" || bad "davbench" "$log"
    workloads_of "$out" load
    timeout --kill-after=10 300 "$target/davbench/debug/davbench" --name cardkeep --url "$url" --calendar \
        --book "/dav/calendars/$user/load/" --user "$user" --password "$password" \
        --n 150 --conns 4 --secs 1 --cap 60 --rounds 3 >"$out" 2>"$log" || bad "davbench --calendar" "$log"
    workloads_of "$out" "load of a calendar"
}

workloads_of() { # workloads_of RESULTS WHAT: each workload ran, and without an error
    local name
    for name in put get multiget initial-sync noop-poll delta-sync query; do
        if grep "\"workload\":\"$name\"" "$1" | grep -v '"requests":0,' | grep -q '"errors":0[,}]'; then
            good
        else
            grep "\"workload\":\"$name\"" "$1" >"$work/load.log"
            bad "$2: $name" "$work/load.log"
        fi
    done
}

# Requests made up from the API's description, by an administrator of their own. They may remove whatever
# is there, so they come last.
fuzz() {
    local user=fuzzer password program=$target/debug/cardkeep
    {
        head -c 18 /dev/urandom | base64 | "$program" user add "$user" --admin --password-stdin --data "$work/data" &&
            "$program" token create --user "$user" --kind api --data "$work/data" >"$work/api-token"
    } >"$work/account.log" 2>&1 || { bad "making an administrator" "$work/account.log"; return; }
    password=$(tail -n 1 "$work/api-token")
    client schemathesis
}

stop_server() {
    local status=0
    if ! kill -TERM "$server" 2>/dev/null; then
        bad "the server was gone before it was told to stop" "$work/server.log"
    else
        for _ in $(seq 600); do
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$server" 2>/dev/null
        wait "$server" || status=$?
        if [ $status -eq 0 ]; then good; else bad "the server stopped with status $status" "$work/server.log"; fi
    fi
    server=
    step "cardkeep check" 120 "$target/debug/cardkeep" check --data "$work/data"
    if grep -E 'panicked at|"level":"ERROR"' "$work/server.log" >"$work/faults.log"; then
        bad "the server logged faults" "$work/faults.log"
    else
        good
    fi
}

main() {
    prepare || return
    target=$(cargo metadata --locked --no-deps --format-version 1 2>/dev/null |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    if wanted lint; then
        step "cargo fmt --check" 120 cargo fmt --check
        step "cargo clippy" 1500 cargo clippy --locked --all-targets -- -D warnings
    fi
    if wanted test; then cargo_tests; fi
    if wanted clients || wanted bench || wanted fuzz; then
        step "building cardkeep" 1500 cargo build --locked || return
        start_server || return
        if wanted clients; then for name in tsdav vdirsyncer eds syncevolution caldav-server-tester caldav-lib; do client "$name"; done; fi
        if wanted clients; then recurrences; fi
        if wanted bench; then load; fi
        if wanted fuzz; then fuzz; fi
        stop_server
    fi
}

main
echo
for reason in "${left_out[@]}"; do echo "not run: $reason"; done
echo "took $((SECONDS - began)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
