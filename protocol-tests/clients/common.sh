# Sourced by every runner. Usage of a runner: NAME.sh BASE_URL USER PASSWORD
# CARDKEEP_CONF_CACHE (default ~/.cache/cardkeep-conformance) holds venvs, node_modules, scratch data.
# A runner exits 0 when every check passed, 77 when what it needs cannot be had here, else non-zero.
: "${1:?usage: $0 BASE_URL USER PASSWORD}" "${2:?user}" "${3?password}"
BASE=${1%/} DAVUSER=$2 DAVPASS=$3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CARDKEEP_CONF_CACHE:-$HOME/.cache/cardkeep-conformance}
mkdir -p "$CACHE"
# CONF_KINDS=carddav leaves the calendar steps out of the runners that have both.
calendars() { [ "${CONF_KINDS:-carddav caldav}" != carddav ]; }
case $BASE in
http://127.0.0.1*|http://localhost*|https://127.0.0.1*|https://localhost*) ;;
*) echo "refusing a base URL that is not loopback: $BASE" >&2; exit 2 ;;
esac

left_out() { # left_out REASON: nothing was checked, and that is not the server's fault
    echo "$(basename "$0" .sh): left out: $1"
    exit 77
}

need_apt() { # need_apt COMMAND-OR-FILE PACKAGE...
    local probe=$1; shift
    command -v "$probe" >/dev/null 2>&1 || [ -e "$probe" ] && return 0
    command -v apt-get >/dev/null 2>&1 || left_out "$probe is missing, and there is no apt-get to install $* with"
    [ "$(id -u)" = 0 ] || left_out "$probe is missing; install it as root: apt-get install $*"
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" \
        </dev/null >"$CACHE/apt.log" 2>&1 ||
        { tail -5 "$CACHE/apt.log" >&2; left_out "apt-get install $* failed"; }
}

need_venv() { # need_venv NAME: installs requirements/NAME.txt, sets VENV
    local pins=$HERE/requirements/$1.txt
    VENV=$CACHE/v-$1
    cmp -s "$pins" "$VENV/installed.txt" && return 0
    need_apt python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || need_apt /usr/share/doc/python3-venv python3-venv
    rm -rf "$VENV"
    { python3 -m venv "$VENV" && "$VENV/bin/pip" -q --disable-pip-version-check install -r "$pins" </dev/null; } \
        >"$CACHE/pip-$1.log" 2>&1 ||
        { tail -5 "$CACHE/pip-$1.log" >&2; left_out "pip could not install $(basename "$pins")"; }
    cp "$pins" "$VENV/installed.txt"
}

need_npm() { # need_npm: installs npm/package-lock.json, sets NODE_ROOT
    NODE_ROOT=$CACHE/npm
    cmp -s "$HERE/npm/package-lock.json" "$NODE_ROOT/installed.json" && return 0
    need_apt npm nodejs npm
    mkdir -p "$NODE_ROOT" && cp "$HERE/npm/package.json" "$HERE/npm/package-lock.json" "$NODE_ROOT/"
    (cd "$NODE_ROOT" && npm ci --no-fund --no-audit </dev/null) >"$CACHE/npm.log" 2>&1 ||
        { tail -3 "$CACHE/npm.log" >&2; left_out "npm could not install the packages of npm/package-lock.json"; }
    cp "$HERE/npm/package-lock.json" "$NODE_ROOT/installed.json"
}

dav() { # dav METHOD URL [curl args...]: sends the request, prints the body of the answer
    local m=$1 u=$2; shift 2
    curl -sS --max-time 60 -u "$DAVUSER:$DAVPASS" -X "$m" "$@" "$u" </dev/null
}

# Prints the href of the user's address book home / calendar home ($1 = addressbook|calendar).
home_of() {
    python3 "$HERE/discover.py" "$BASE" "$DAVUSER" "$DAVPASS" "$1"
}

summary() { # summary NAME PASS FAIL [SKIP]
    echo "$1: PASS $2 FAIL $3 SKIP ${4:-0}"
    [ "$3" -eq 0 ] && [ "$2" -gt 0 ]
}

need_apt curl curl ca-certificates
need_apt python3 python3
