#!/usr/bin/env bash
# Evolution Data Server (Debian 12: 3.46) as a real CardDAV client, headless, in a
# throw-away HOME and session bus.
. "$(dirname "$0")/common.sh"
need_apt /usr/libexec/evolution-addressbook-factory evolution-data-server gir1.2-ebook-1.2 gir1.2-ebookcontacts-1.2 \
    gir1.2-edataserver-1.2 python3-gi dbus dbus-x11 gnome-keyring
need_apt dbus-run-session dbus
home=$(home_of addressbook) || exit 1
book=${home}eds$$/
dav MKCOL "$book" -o /dev/null -H 'Content-Type: application/xml; charset=utf-8' --data \
    '<?xml version="1.0"?><mkcol xmlns="DAV:"><set><prop><resourcetype><collection/><C:addressbook xmlns:C="urn:ietf:params:xml:ns:carddav"/></resourcetype><displayname>eds</displayname></prop></set></mkcol>'
H=$(mktemp -d)
env -i HOME="$H" XDG_RUNTIME_DIR="$H" PATH=/usr/bin:/bin:/usr/sbin LANG=C.UTF-8 GIO_USE_PROXY_RESOLVER=dummy WEBDAV_DEBUG="${WEBDAV_DEBUG:-}" \
    timeout 180 dbus-run-session -- sh -c 'echo cardkeep | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec /usr/bin/python3 "$@"' sh \
    "$HERE/eds_client.py" "$book" "$DAVUSER" "$DAVPASS" 2>"$H/err"
rc=$?
[ $rc -eq 0 ] || tail -15 "$H/err" >&2
dav DELETE "$book" -o /dev/null
rm -rf "$H"
exit $rc
