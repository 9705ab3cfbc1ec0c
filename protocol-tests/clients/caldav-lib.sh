#!/usr/bin/env bash
# The python caldav library's own integration tests (in its PyPI sdist), sync and async, aimed at this
# server. What is out of scope is named in caldav-features.yaml: the library tests that it is refused as
# it should be.
. "$(dirname "$0")/common.sh"
need_venv caldav-lib
version=$("$VENV/bin/python" -c 'import importlib.metadata as m; print(m.version("caldav"))')
src=$CACHE/caldav-$version
if [ ! -d "$src/tests" ]; then
    "$VENV/bin/pip" -q --disable-pip-version-check download --no-deps --no-binary :all: -d "$CACHE/dl" "caldav==$version" </dev/null \
        >"$CACHE/pip-caldav-sdist.log" 2>&1 || left_out "pip could not fetch the caldav library's tests"
    tar -C "$CACHE" -xzf "$CACHE/dl/caldav-$version.tar.gz" || exit 1
fi
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
cp -r "$src/tests" "$W/tests"
{
    echo "test-servers:"
    for other in radicale xandikos baikal nextcloud cyrus sogo bedework davical davis ccs zimbra stalwart ox; do
        printf '  %s:\n    enabled: false\n' "$other"
    done
    printf '  cardkeep:\n    type: external\n    enabled: true\n    url: "%s/"\n    username: "%s"\n    password: "%s"\n' \
        "$BASE" "$DAVUSER" "$DAVPASS"
    echo "    features:"
    sed 's/^/      /' "$HERE/caldav-features.yaml"
} >"$W/tests/caldav_test_servers.yaml"
cd "$W" || exit 1
HOME=$W XDG_CONFIG_HOME=$W/c timeout 500 "$VENV/bin/python" -m pytest -q -p no:cacheprovider --timeout 120 \
    tests/test_caldav.py tests/test_async_integration.py -k "cardkeep or Cardkeep" -rfE </dev/null >"$W/out" 2>&1
[ -z "${KEEP_LOG:-}" ] || cp "$W/out" "$KEEP_LOG"
grep -E '^(FAILED|ERROR) ' "$W/out" | cut -c1-200
line=$(tail -n 1 "$W/out")
count() { echo "$line" | grep -oE "[0-9]+ $1" | grep -oE '[0-9]+' || echo 0; }
summary caldav-lib "$(count passed)" $(($(count failed) + $(count error))) "$(count skipped)"
