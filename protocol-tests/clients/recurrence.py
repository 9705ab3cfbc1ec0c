"""Makes up recurrence rules and calendar objects, and compares their instances with those that
python-dateutil and recurring-ical-events find. See recurrence.sh.

    recurrence.py ask DIR RULES OBJECTS SEED    writes DIR/questions and DIR/expected
    recurrence.py compare DIR                   compares DIR/answers with DIR/expected

Where the two sides differ on purpose, the rule is given to dateutil so that it says what RFC 5545
means; each such place names its reason. What dateutil cannot be made to say is left out, counted.
"""

import datetime as dt
import json
import pathlib
import random
import signal
import sys
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from dateutil.rrule import rrulestr

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Gaza", "America/Sao_Paulo",
         "Africa/Casablanca", "Pacific/Apia", "Asia/Kolkata", "Europe/Dublin", "America/Santiago", "UTC"]
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
FREQUENCIES = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]
DAY = dt.timedelta(days=1)
# How far from the start a frequency is asked for: dateutil walks there step by step.
REACH = {"YEARLY": 30 * 365, "MONTHLY": 15 * 365, "WEEKLY": 8 * 365, "DAILY": 4 * 365, "HOURLY": 90,
         "MINUTELY": 4, "SECONDLY": 0.2}


class TooSlow(Exception):
    pass


def too_slow(*_):
    raise TooSlow


def instant(civil, zone):
    """Seconds since 1970. With fold=0 Python does what RFC 5545 section 3.3.5 says: the first of two,
    and the offset before a gap."""
    return int(civil.replace(tzinfo=ZoneInfo(zone), fold=0).timestamp())


def stamp(civil):
    return civil.strftime("%Y%m%dT%H%M%S").rjust(15, "0")


# --- rules ---

def some(rng, numbers, most=3):
    return sorted(rng.sample(list(numbers), rng.randint(1, most)))


def signed(rng, most, count=3):
    return some(rng, [n for n in range(-most, most + 1) if n], count)


def make_rule(rng):
    """A rule as parts; parts that RFC 5545 forbids for a frequency are made too, but rarely."""
    frequency = rng.choice(FREQUENCIES)
    rule = {"FREQ": frequency}
    if rng.random() < 0.5:
        rule["INTERVAL"] = rng.choice([1, 2, 3, 4, 5, 7, 12, 18, 90])
    makers = {
        "BYMONTH": lambda: some(rng, range(1, 13)),
        # Week -52 or -53 may be week 1, which may begin in December: dateutil finds it there by 1 only.
        # And it gives some years 53 weeks that have 52, such as 1993, whose last one ends in January.
        "BYWEEKNO": lambda: [week for week in signed(rng, 53) if -52 < week < 52] or [20],
        "BYYEARDAY": lambda: signed(rng, 366),
        "BYMONTHDAY": lambda: signed(rng, 31, 5),
        "BYDAY": lambda: weekdays(rng, frequency),
        "BYHOUR": lambda: some(rng, range(24)),
        "BYMINUTE": lambda: some(rng, range(60)),
        "BYSECOND": lambda: some(rng, range(60)),
    }
    odd = {("BYWEEKNO", f) for f in FREQUENCIES[1:]}
    odd |= {("BYYEARDAY", f) for f in ("MONTHLY", "WEEKLY", "DAILY")} | {("BYMONTHDAY", "WEEKLY")}
    for name, make in makers.items():
        likely = 0.4 if name == "BYDAY" else 0.03 if (name, frequency) in odd else 0.2
        if rng.random() < likely:
            rule[name] = make()
    if rng.random() < 0.2 and any(name.startswith("BY") for name in rule):
        rule["BYSETPOS"] = signed(rng, 5)
    if rng.random() < 0.2:
        rule["WKST"] = rng.choice(WEEKDAYS)
    return rule


def weekdays(rng, frequency):
    days = rng.sample(WEEKDAYS, rng.randint(1, 3))
    if frequency not in ("YEARLY", "MONTHLY") or rng.random() < 0.5:
        return days
    return [(str(rng.choice([-2, -1, 1, 2, 3, 4, 5])) if rng.random() < 0.7 else "") + day for day in days]


def written(rule):
    join = lambda value: ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return ";".join(f"{name}={join(value)}" for name, value in rule.items())


def oracle_rules(rule, start):
    """The rules, with their starts, whose instances together are what RFC 5545 means by `rule`."""
    rule = dict(rule)
    days = ("BYDAY", "BYMONTHDAY", "BYYEARDAY")
    numbered = [day for day in rule.get("BYDAY", []) if day[:-2]]
    if rule["FREQ"] == "YEARLY" and "BYWEEKNO" in rule:
        # "The BYDAY rule part MUST NOT be specified with a numeric value [...] when the BYWEEKNO rule
        # part is specified": only the day is taken, dateutil takes the number too.
        if numbered:
            rule["BYDAY"] = sorted({day[-2:] for day in rule["BYDAY"]})
            numbered = []
    if "BYWEEKNO" in rule and not any(name in rule for name in days):
        # What is missing is "retrieved from the DTSTART"; dateutil gives every day of the week.
        if rule["FREQ"] in ("YEARLY", "WEEKLY"):
            rule["BYDAY"] = [WEEKDAYS[start.weekday()]]
        elif rule["FREQ"] == "MONTHLY":
            rule["BYMONTHDAY"] = [start.day]
    if rule["FREQ"] == "WEEKLY" and "BYSETPOS" in rule:
        # "A set of recurrence instances starts at the beginning of the interval"; dateutil cuts the
        # first week at DTSTART.
        first = start - ((start.weekday() - WEEKDAYS.index(rule.get("WKST", "MO"))) % 7) * DAY
        if not any(name in rule for name in (*days, "BYWEEKNO")):
            rule["BYDAY"] = [WEEKDAYS[start.weekday()]]
        start = first
    plain = [day for day in rule.get("BYDAY", []) if not day[:-2]]
    if numbered and plain and rule["FREQ"] in ("YEARLY", "MONTHLY"):
        # dateutil wants a day to be in both lists.
        if "BYSETPOS" in rule:
            return None
        return [({**rule, "BYDAY": plain}, start), ({**rule, "BYDAY": numbered}, start)]
    return [(rule, start)]


def civil_times(rule, start, end):
    """Every moment after `start` and before `end` that dateutil finds."""
    rules = oracle_rules(rule, start)
    if rules is None:
        return None
    found = set()
    for rule, first in rules:
        try:
            for moment in rrulestr(written(rule), dtstart=first):
                if moment > end:
                    break
                found.add(moment)
        except ValueError:
            # "Invalid combination of interval and byhour": it never happens.
            pass
    return sorted(moment for moment in found if moment > start)


def ask_rule(rng, number):
    rule = make_rule(rng)
    form = rng.choice(["zoned"] * 4 + ["floating", "utc", "date"])
    frequency = rule["FREQ"]
    zone = "UTC" if form == "utc" else rng.choice(ZONES)
    start = dt.datetime(rng.randint(1990, 2024), rng.randint(1, 12), rng.randint(1, 28))
    start += dt.timedelta(days=rng.randint(0, 3))
    if form == "date":
        if FREQUENCIES.index(frequency) > 3:
            return None
        # "These rule parts MUST be ignored" where DTSTART is a DATE.
        asked = {name: value for name, value in rule.items() if name not in ("BYHOUR", "BYMINUTE", "BYSECOND")}
    else:
        start += dt.timedelta(hours=rng.choice([0, 1, 2, 2, 3, 9, 23]), minutes=rng.choice([0, 15, 30, 59]))
        asked = rule
    reach = dt.timedelta(days=REACH[frequency])
    low = start + reach * rng.random() * rng.choice([0, 1])
    high = low + reach * rng.uniform(0.05, 0.6)
    moments = civil_times(asked, start, high + 3 * DAY)
    if moments is None:
        return "left out"
    moments = [start, *moments]
    suffix = ""
    if rng.random() < 0.25:
        count = rng.randint(1, 60)
        suffix, moments = f";COUNT={count}", moments[:count]
    elif rng.random() < 0.4:
        suffix, moments = until(rng, form, zone, start, reach, moments)
    lows, highs = instant(low, zone), instant(high, zone)
    def lasting(moment):
        begin = instant(moment, zone)
        return begin, instant(moment + DAY, zone) if form == "date" else begin
    spans = sorted({lasting(moment) for moment in moments})
    expected = [(a, b) for a, b in spans if a < highs and (b > lows if b > a else a >= lows)]
    property = {
        "zoned": f"DTSTART;TZID={zone}:{stamp(start)}", "floating": f"DTSTART:{stamp(start)}",
        "utc": f"DTSTART:{stamp(start)}Z", "date": f"DTSTART;VALUE=DATE:{stamp(start)[:8]}",
    }[form]
    lines = [property, f"RRULE:{written(rule)}{suffix}"]
    calendar_zone = "Asia/Tokyo" if form == "zoned" else zone
    return question(f"rule-{number}", calendar_zone, lows, highs, event(lines), expected)


def until(rng, form, zone, start, reach, moments):
    """UNTIL as clients write it: in UTC, as a date, or on the clock."""
    end = (start + reach * rng.random()).replace(microsecond=0)
    if rng.random() < 0.5:
        end = rng.choice(moments)
    kind = rng.choice(["date", "local"] if form in ("floating", "date") else ["date", "local", "utc"])
    if kind == "date" or form == "date":
        last = end.replace(hour=23, minute=59, second=59)
        return f";UNTIL={stamp(end)[:8]}", [m for m in moments if m <= last or m == start]
    if kind == "local":
        mark = "Z" if form == "utc" else ""
        return f";UNTIL={stamp(end)}{mark}", [m for m in moments if m <= end or m == start]
    at = instant(end, zone)
    utc = dt.datetime.fromtimestamp(at, dt.UTC)
    return f";UNTIL={stamp(utc)}Z", [m for m in moments if instant(m, zone) <= at or m == start]


# --- objects ---

def event(lines, uid="1"):
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20200101T000000Z", *lines, "END:VEVENT"])


def question(name, zone, low, high, body, expected):
    text = f"ASK {name} {zone} {low} {high}\nBEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y\n{body}\nEND:VCALENDAR\n"
    return name, text, sorted(set(map(tuple, expected)))


def ask_object(rng, number):
    """A master with RDATE, EXDATE and overrides, in its own VTIMEZONE now and then."""
    zone = rng.choice(ZONES[:-1])
    start = dt.datetime(rng.randint(2010, 2024), rng.randint(1, 12), rng.randint(1, 28), rng.choice([0, 1, 2, 3, 9, 23]), 30)
    all_day = rng.random() < 0.2
    tzid, vtimezone = zone, ""
    # icalendar writes the day that Samoa left out (2011-12-30) a day late.
    if not all_day and zone != "Pacific/Apia" and rng.random() < 0.4:
        tzid = f"Own {number}"
        # In the gap of a VTIMEZONE's clock icalendar takes the offset after it: no instance is there.
        start = start.replace(hour=rng.choice([4, 9, 15, 22]))
        own = icalendar.Timezone.from_tzid(zone, first_date=dt.date(2005, 1, 1), last_date=dt.date(2034, 1, 1))
        own["TZID"] = tzid
        vtimezone = own.to_ical().decode().replace("\r\n", "\n").strip() + "\n"
    if all_day:
        start = start.replace(hour=0, minute=0)
        value = lambda civil: f";VALUE=DATE:{stamp(civil)[:8]}"
    else:
        value = lambda civil: f";TZID={tzid}:{stamp(civil)}"
    rule = rng.choice([
        {"FREQ": "DAILY", "INTERVAL": rng.randint(1, 9)},
        {"FREQ": "WEEKLY", "BYDAY": sorted({WEEKDAYS[start.weekday()], rng.choice(WEEKDAYS)})},
        {"FREQ": "MONTHLY"},
        {"FREQ": "MONTHLY", "BYMONTHDAY": [start.day, -1]},
        {"FREQ": "YEARLY"},
    ])
    days = rng.randint(1, 3)
    hours = rng.choice([0, 1, 5, 26])
    ends = [f"DTEND{value(start + (days * DAY if all_day else dt.timedelta(hours=hours)))}"] if all_day or hours else []
    lines = [f"SUMMARY:{number}", f"DTSTART{value(start)}", *ends, f"RRULE:{written(rule)};COUNT={rng.randint(2, 400)}"]
    moments = [start, *civil_times(rule, start, start + 3000 * DAY)]
    out = rng.sample(moments[1:200], min(rng.randint(0, 3), len(moments[1:200])))
    lines += [f"EXDATE{value(moment)}" for moment in out]
    if rng.random() < 0.3:
        lines.append(f"RDATE{value(start + dt.timedelta(days=rng.randint(1, 999)))}")
    body = [event(lines)]
    rest = [m for m in moments[1:200] if m not in out]
    for moment in rng.sample(rest, min(rng.randint(0, 3), len(rest))):
        moved = moment + dt.timedelta(days=rng.choice([0, 1, -40, 200]), hours=0 if all_day else rng.choice([0, 5]))
        end = f"DTEND{value(moved + (DAY if all_day else dt.timedelta(hours=2)))}"
        body.append(event([f"RECURRENCE-ID{value(moment)}", f"DTSTART{value(moved)}", end]))
    low = start + dt.timedelta(days=rng.randint(-10, 900))
    high = low + dt.timedelta(days=rng.randint(1, 500))
    body = vtimezone + "\n".join(body)
    calendar_zone = "UTC" if all_day else "Asia/Tokyo"
    lows, highs = instant(low, "UTC"), instant(high, "UTC")
    name, text, _ = question(f"object-{number}", calendar_zone, lows, highs, body, [])
    calendar = icalendar.Calendar.from_ical(text.split("\n", 1)[1])
    lasting = instant(start + dt.timedelta(hours=hours), zone) - instant(start, zone)
    expected = []
    wider = low.replace(tzinfo=dt.UTC) - 5 * DAY, high.replace(tzinfo=dt.UTC) + 5 * DAY
    for found in recurring_ical_events.of(calendar).between(*wider):
        begin, end = (seconds(found[name].dt) if name in found else None for name in ("DTSTART", "DTEND"))
        if not all_day and "SUMMARY" in found:
            # "If the duration [...] is specified with the DTEND [...] property, the same exact duration
            # will apply"; it takes the same duration by the clock, which is another one over a change.
            end = begin + lasting
        expected.append((begin, begin if end is None else end))
    # It also gives what ends where the range begins; RFC 4791 section 9.9 does not.
    return name, text, sorted({(a, b) for a, b in expected if a < highs and (b > lows if b > a else a >= lows)})


def seconds(value):
    if isinstance(value, dt.datetime):
        return int(value.timestamp())
    return int(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC).timestamp())


# --- both sides ---

def in_time(make, rng, number):
    """What `make` makes, or "left out" where dateutil looks for too long, as for what never happens."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            return make(rng, number)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TooSlow:
        return "left out"


def ask(directory, rules, objects, seed):
    rng = random.Random(seed)
    signal.signal(signal.SIGALRM, too_slow)
    expected, left_out = {}, 0
    with open(directory / "questions", "w") as questions:
        for make, count in ((ask_rule, rules), (ask_object, objects)):
            number = 0
            while number < count:
                number += 1
                asked = in_time(make, rng, number)
                if asked is None:
                    number -= 1
                elif asked == "left out":
                    left_out += 1
                else:
                    name, text, instances = asked
                    questions.write(text)
                    expected[name] = [text, instances]
    (directory / "expected").write_text(json.dumps({"expected": expected, "left out": left_out}))


def compare(directory):
    told = json.loads((directory / "expected").read_text())
    expected, passed, failed = told["expected"], 0, 0
    for line in (directory / "answers").read_text().splitlines():
        if line.startswith("#"):
            print(line[2:])
            continue
        name, complete, *found = line.split(" ")
        found = [tuple(int(side) for side in instance.rsplit("-", 1)) for instance in found]
        text, instances = expected.pop(name)
        if complete == "true" and sorted(set(found)) == [tuple(i) for i in instances]:
            passed += 1
            continue
        failed += 1
        if failed <= 8:
            show(name, text, complete, set(found), {tuple(i) for i in instances})
    failed += len(expected)
    print(f"recurrence: PASS {passed} FAIL {failed} SKIP {told['left out']}")
    return 0 if passed and not failed else 1


def show(name, text, complete, found, instances):
    utc = lambda pairs: [str(dt.datetime.fromtimestamp(a, dt.UTC))[:19] + f"+{b - a}" for a, b in sorted(pairs)[:6]]
    print(f"FAIL: {name} (complete: {complete}, {len(instances & found)} alike)")
    keep = ("ASK", "DTSTART", "DTEND", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
    print("\n".join("    " + line for line in text.splitlines() if line.startswith(keep)))
    print(f"    only expected: {utc(instances - found)}\n    only found: {utc(found - instances)}")


if __name__ == "__main__":
    command, directory, *numbers = sys.argv[1:]
    directory = pathlib.Path(directory)
    sys.exit(ask(directory, *map(int, numbers)) if command == "ask" else compare(directory))
