#!/usr/bin/env bash
# SyncEvolution (Debian 12: 2.0.0) as a CardDAV and CalDAV client: item import, export,
# update and delete on the server, then a two-way sync against local files. CONF_KINDS=carddav: no calendar.
. "$(dirname "$0")/common.sh"
need_apt syncevolution syncevolution syncevolution-common
home=$(home_of addressbook) || exit 1
book=${home}se$$/
cal= calconf= calname=
if calendars; then
    calhome=$(home_of calendar) || exit 1
    cal=${calhome}secal$$/ calconf="calendar/backend=caldav calendar/database=$cal" calname=calendar
fi
mk() { dav MKCOL "$1" -o /dev/null -H 'Content-Type: application/xml; charset=utf-8' --data "<?xml version=\"1.0\"?><mkcol xmlns=\"DAV:\"><set><prop><resourcetype><collection/>$2</resourcetype><displayname>$3</displayname></prop></set></mkcol>"; }
mk "$book" '<C:addressbook xmlns:C="urn:ietf:params:xml:ns:carddav"/>' se
calendars && mk "$cal" '<C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>' secal
H=$(mktemp -d); mkdir -p "$H/in" "$H/out" "$H/local" "$H/run"
# No login keyring and no session bus: run in-process.
se() { env -i HOME="$H" XDG_RUNTIME_DIR="$H/run" XDG_CONFIG_HOME="$H/c" XDG_CACHE_HOME="$H/k" XDG_DATA_HOME="$H/d" PATH=/usr/bin:/bin LANG=C.UTF-8 no_proxy=127.0.0.1,localhost timeout 90 syncevolution --daemon=no --keyring=no "$@"; }
pass=0 fail=0
check() { local n=$1; shift; if "$@" >"$H/last" 2>&1; then pass=$((pass + 1)); else fail=$((fail + 1)); echo "FAIL: $n"; grep -vE 'Loaded backend|^$' "$H/last" | tail -6 | sed 's/^/    /'; fi; }
count() { dav PROPFIND "$1" -H 'Depth: 1' --data '<propfind xmlns="DAV:"><prop><getetag/><resourcetype/></prop></propfind>' | grep -oE '<([a-zA-Z0-9]+:)?href>[^<]*\.(vcf|ics)' | sort -u | wc -l; }
is() { [ "$1" = "$2" ] || { echo "got $1, want $2"; return 1; }; }
for i in 1 2 3; do
    printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nUID:se-%s\r\nFN:Se %s\r\nN:Se;N%s;;;\r\nTEL;TYPE=CELL:+4912345%s\r\nEND:VCARD\r\n' $i $i $i $i >"$H/in/$i.vcf"
done
check "configure" se --configure username="$DAVUSER" password="$DAVPASS" loglevel=1 \
    addressbook/backend=carddav addressbook/database="$book" $calconf syncURL="$BASE/" target-config@cardkeep addressbook $calname
check "database discovery" bash -c "$(declare -f se); H='$H' DAVUSER='$DAVUSER'; se --print-databases backend=carddav syncURL='$BASE/' username='$DAVUSER' password='$DAVPASS' 2>&1 | tee /dev/stderr | grep -q '/se$$/'"
check "import 3" se --import "$H/in" target-config@cardkeep addressbook
check "server holds 3" is "$(count "$book")" 3
check "export" se --export "$H/out" target-config@cardkeep addressbook
check "exported 3" is "$(grep -l 'FN:Se' -r "$H/out" | wc -l)" 3
luid=$(se --print-items target-config@cardkeep addressbook 2>/dev/null | awk -F: 'NR==1{print $1}' | sed 's/ *$//')
printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nUID:se-1\r\nFN:Se changed\r\nN:Se;changed;;;\r\nEND:VCARD\r\n' >"$H/upd.vcf"
check "update one" se --update "$H/upd.vcf" target-config@cardkeep addressbook "$luid"
check "update arrived" bash -c "curl -s -u '$DAVUSER:$DAVPASS' '${book}$luid' | grep -q 'Se changed'"
check "delete one" se --delete-items target-config@cardkeep addressbook "$luid"
check "server holds 2" is "$(count "$book")" 2
check "local peer" se --configure --template none backend=file database="file://$H/local" databaseFormat=text/vcard addressbook/backend=file syncURL=local://@cardkeep username= password= sync=two-way peerIsClient=1 files@local addressbook
check "two-way sync (slow)" se --sync slow --run files@local addressbook
check "local has 2" is "$(ls "$H/local" 2>/dev/null | wc -l)" 2
check "two-way sync again" se files@local addressbook
printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:se-e1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260801T100000Z\r\nDTEND:20260801T110000Z\r\nSUMMARY:E1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' >"$H/e.ics"
checkcal() { if calendars; then check "$@"; fi; }
checkcal "import event" se --import "$H/e.ics" target-config@cardkeep calendar
checkcal "server holds 1 event" is "$(calendars && count "$cal")" 1
checkcal "list events" bash -c "$(declare -f se); H='$H'; se --print-items target-config@cardkeep calendar 2>/dev/null | grep -q E1"
check "delete all" se --delete-items target-config@cardkeep addressbook '*'
check "server holds 0" is "$(count "$book")" 0
dav DELETE "$book" -o /dev/null; calendars && dav DELETE "$cal" -o /dev/null; rm -rf "$H"
summary syncevolution "$pass" "$fail"
