#!/usr/bin/env bash
# Two vdirsyncer replicas (A, B) of one new address book and one new calendar on the
# server: create, propagate, modify, delete, same-item conflict with each resolution,
# metadata sync, then khard reads and writes the local copies. CONF_KINDS=carddav: no calendar.
. "$(dirname "$0")/common.sh"
need_venv vdirsyncer
abhome=$(home_of addressbook) || exit 1
calhome=; calendars && { calhome=$(home_of calendar) || exit 1; }
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
tag=vds$$
mk() { # mk URL KIND
    local rt
    case $2 in
    card) rt='<C:addressbook xmlns:C="urn:ietf:params:xml:ns:carddav"/>' ;;
    cal) rt='<C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>' ;;
    esac
    dav MKCOL "$1" -o /dev/null -w '%{http_code}' -H 'Content-Type: application/xml; charset=utf-8' --data \
        "<?xml version=\"1.0\"?><mkcol xmlns=\"DAV:\"><set><prop><resourcetype><collection/>$rt</resourcetype><displayname>$tag</displayname></prop></set></mkcol>"
}
pass=0 fail=0
check() { # check NAME COMMAND...
    local n=$1; shift
    if "$@" >"$W/last" 2>&1; then pass=$((pass + 1)); else fail=$((fail + 1)); echo "FAIL: $n"; tail -4 "$W/last" | sed 's/^/    /'; fi
}
mkcol_ok() { [ "$(mk "$1" "$2")" = 201 ]; }
checkcal() { if calendars; then check "$@"; fi; }
check "extended MKCOL address book" mkcol_ok "$abhome${tag}c/" card
checkcal "extended MKCOL calendar" mkcol_ok "$calhome${tag}e/" cal
conf() { # conf NAME CONFLICT
    cat <<CONF
[general]
status_path = "$W/$1/status/"
[pair con]
a = "con_local"
b = "con_remote"
collections = ["${tag}c"]
conflict_resolution = $2
metadata = ["displayname"]
[storage con_local]
type = "filesystem"
path = "$W/$1/con/"
fileext = ".vcf"
[storage con_remote]
type = "carddav"
url = "$BASE/"
username = "$DAVUSER"
password = "$DAVPASS"
CONF
    calendars && cat <<CONF
[pair cal]
a = "cal_local"
b = "cal_remote"
collections = ["${tag}e"]
conflict_resolution = $2
metadata = ["displayname", "color"]
[storage cal_local]
type = "filesystem"
path = "$W/$1/cal/"
fileext = ".ics"
[storage cal_remote]
type = "caldav"
url = "$BASE/"
username = "$DAVUSER"
password = "$DAVPASS"
CONF
    true
}
mkdir -p "$W/A/con/${tag}c" "$W/A/cal/${tag}e" "$W/B/con/${tag}c" "$W/B/cal/${tag}e"
conf A '"b wins"' >"$W/A.conf"; conf B 'null' >"$W/B.conf"; conf B '"a wins"' >"$W/Bwin.conf"
vds() { local c=$1; shift; "$VENV/bin/vdirsyncer" -c "$W/$c.conf" "$@" </dev/null; }
disc() { yes | "$VENV/bin/vdirsyncer" -c "$W/$1.conf" discover; }
card() { printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%s\r\nFN:%s\r\nN:%s;;;;\r\nitem1.EMAIL;TYPE=INTERNET:%s@example.test\r\nitem1.X-ABLabel:_$!<Other>!$_\r\nX-CK-ODD;X-P="a,b;c":keep\\, me\r\nNOTE:Zürich 東京 🦊\r\nEND:VCARD\r\n' "$1" "$2" "$2" "$1"; }
event() { printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//cardkeep//conf//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260801T100000Z\r\nDTEND:20260801T110000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' "$1" "$2"; }
CA=$W/A/con/${tag}c CB=$W/B/con/${tag}c EA=$W/A/cal/${tag}e EB=$W/B/cal/${tag}e
has() { grep -rqs -- "$1" "$2"; }
hasnot() { ! grep -rqs -- "$1" "$2"; }
for i in 1 2 3 4 5; do card "$tag-c$i" "Card$i" >"$CA/c$i.vcf"; event "$tag-e$i" "Event$i" >"$EA/e$i.ics"; done
check "A discover" disc A
check "A sync (upload 5+5)" vds A sync
check "B discover" disc B
check "B sync (download)" vds B sync
check "B has Card5" has FN:Card5 "$CB"
checkcal "B has Event5" has SUMMARY:Event5 "$EB"
check "odd property and label survive" has 'X-CK-ODD' "$CB"
check "grouped label survives" bash -c "grep -rqsi 'item1.X-ABLabel' '$CB'"
check "non-ASCII survives" has '東京 🦊' "$CB"
check "A sync again is a no-op" bash -c "'$VENV/bin/vdirsyncer' -c '$W/A.conf' sync 2>&1 </dev/null | tee /dev/stderr | { ! grep -qE 'Copying|Deleting'; }"
f=$(grep -rl FN:Card1 "$CB"); sed -i 's/FN:Card1/FN:Card1bis/' "$f"
g=$(grep -rl SUMMARY:Event2 "$EB"); rm -f "$g"
check "B sync (modify card, delete event)" vds B sync
check "A sync (receive)" vds A sync
check "A sees the change" has FN:Card1bis "$CA"
checkcal "A lost the event" hasnot SUMMARY:Event2 "$EA"
fa=$(grep -rl FN:Card3 "$CA"); fb=$(grep -rl FN:Card3 "$CB")
sed -i 's/FN:Card3/FN:Card3-from-A/' "$fa"; sed -i 's/FN:Card3/FN:Card3-from-B/' "$fb"
check "A sync (its edit first)" vds A sync
check "B sync reports the conflict" bash -c "! '$VENV/bin/vdirsyncer' -c '$W/B.conf' sync </dev/null"
check "conflict left B's copy alone" has FN:Card3-from-B "$CB"
check "B sync with 'a wins'" vds Bwin sync
check "A sync" vds A sync
check "A took B's edit" has FN:Card3-from-B "$CA"
check "metasync" vds A metasync
check "displayname arrived" has "$tag" "$W/A/con/${tag}c/displayname"
rm -f "$CA"/*.vcf; card "$tag-c9" Card9 >"$CA/c9.vcf"; card "$tag-c8" Card8 >"$CA/c8.vcf"
check "A bulk delete" vds A sync
check "B bulk delete" vds B sync
check "B now has exactly two cards" bash -c "[ \$(ls '$CB'/*.vcf | wc -l) = 2 ]"
mkdir -p "$W/khard"; printf '[addressbooks]\n[[b]]\npath = %s\n[general]\ndefault_action = list\neditor = /bin/true\nmerge_editor = /bin/true\n[vcard]\npreferred_version = 3.0\n' "$CB" >"$W/khard/khard.conf"
kh() { "$VENV/bin/khard" -c "$W/khard/khard.conf" "$@"; }
check "khard reads" bash -c "'$VENV/bin/khard' -c '$W/khard/khard.conf' list 2>&1 | grep Card9"
printf 'First name : Kay\nLast name : Hard\nEmail :\n    work : kay@example.test\n' >"$W/new.yaml"
check "khard writes" kh new -i "$W/new.yaml" -a b
check "B uploads khard's card" vds B sync
check "A downloads khard's card" vds A sync
check "khard's card arrived" has 'kay@example.test' "$CA"
dav DELETE "$abhome${tag}c/" -o /dev/null; calendars && dav DELETE "$calhome${tag}e/" -o /dev/null
summary vdirsyncer "$pass" "$fail"
