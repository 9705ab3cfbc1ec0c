//! Tests of rules: the tables and examples of RFC 5545, and hostile ones.

use proptest::prelude::*;

use super::*;
use crate::domain::ical::time::Stamp;

fn civil(text: &str) -> Civil {
    Stamp::parse(text).unwrap().civil
}

fn recurrence(start: &str, rule: &str) -> Recurrence {
    let rule = Rule::parse(rule).unwrap();
    let until = rule.until.map(|until| until.civil.plus(if rule.until_is_date() { DAY - 1 } else { 0 }));
    Recurrence::new(&rule, civil(start), false, until).unwrap()
}

fn walk(recurrence: &Recurrence, from: Civil, most: usize) -> Vec<Civil> {
    let mut budget = Budget::default();
    let mut walk = recurrence.from(from);
    let mut out = Vec::new();
    while out.len() < most {
        match walk.next(&mut budget) {
            Step::At(at) => out.push(at),
            Step::End => break,
            Step::Spent => panic!("the budget is spent after {}", out.len()),
        }
    }
    out
}

/// The first instances from a day on, as `19970902`, with the time where it is not 09:00.
fn shown(start: &str, rule: &str, from: &str, most: usize) -> String {
    let list = walk(&recurrence(start, rule), civil(from), most);
    let show = |at: Civil| at.datetime().strftime("%Y%m%dT%H%M%S").to_string().replace("T090000", "");
    list.into_iter().map(show).collect::<Vec<_>>().join(" ")
}

/// A row: the start at 09:00, the rule, the instances; where they go on, only as many as are here.
fn check(rows: &[(&str, &str, &str)]) {
    for (start, rule, expected) in rows {
        let expected: String = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        let goes_on = expected.ends_with('…');
        let expected = expected.trim_end_matches(" …");
        let most = if goes_on { expected.split(' ').count() } else { 1000 };
        assert_eq!(shown(&format!("{start}T090000"), rule, start, most), expected, "{start} {rule}");
    }
}

/// The examples of RFC 5545 §3.8.5.3, on the wall.
#[test]
fn ical_3_the_examples_of_rfc_5545() {
    check(&[
        ("19970902", "FREQ=DAILY;COUNT=4", "19970902 19970903 19970904 19970905"),
        ("19970902", "FREQ=DAILY;INTERVAL=10;COUNT=5", "19970902 19970912 19970922 19971002 19971012"),
        ("19970902", "FREQ=DAILY;UNTIL=19970904T000000", "19970902 19970903"),
        ("19970902", "FREQ=DAILY;UNTIL=19970904", "19970902 19970903 19970904"),
        (
            "19980130",
            "FREQ=YEARLY;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
            "19980130 19980131 19990101 19990102 …",
        ),
        ("19980130", "FREQ=DAILY;BYMONTH=1", "19980130 19980131 19990101 19990102 …"),
        ("19970902", "FREQ=WEEKLY;COUNT=3", "19970902 19970909 19970916"),
        ("19970902", "FREQ=WEEKLY;INTERVAL=2;WKST=SU", "19970902 19970916 19970930 19971014 19971028 …"),
        (
            "19970902",
            "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
            "19970902 19970904 19970909 19970911 19970916 19970918 19970923 19970925 19970930 19971002",
        ),
        (
            "19970901",
            "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971001T090000;WKST=SU;BYDAY=MO,WE,FR",
            "19970901 19970903 19970905 19970915 19970917 19970919 19970929 19971001",
        ),
        (
            "19970902",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
            "19970902 19970904 19970916 19970918 19970930 19971002 19971014 19971016",
        ),
        (
            "19970905",
            "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
            "19970905 19971003 19971107 19971205 19980102 19980206 19980306 19980403 19980501 19980605",
        ),
        (
            "19970907",
            "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
            "19970907 19970928 19971102 19971130 19980104 19980125 19980301 19980329 19980503 19980531",
        ),
        (
            "19970922",
            "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
            "19970922 19971020 19971117 19971222 19980119 19980216",
        ),
        ("19970928", "FREQ=MONTHLY;BYMONTHDAY=-3", "19970928 19971029 19971128 19971229 19980129 19980226 …"),
        ("19970902", "FREQ=MONTHLY;COUNT=5;BYMONTHDAY=2,15", "19970902 19970915 19971002 19971015 19971102"),
        (
            "19970930",
            "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
            "19970930 19971001 19971031 19971101 19971130 19971201 19971231 19980101 19980131 19980201",
        ),
        (
            "19970910",
            "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
            "19970910 19970911 19970912 19970913 19970914 19970915 19990310 19990311 19990312 19990313",
        ),
        (
            "19970902",
            "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
            "19970902 19970909 19970916 19970923 19970930 19971104 …",
        ),
        (
            "19970610",
            "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
            "19970610 19970710 19980610 19980710 19990610 19990710 20000610 20000710 20010610 20010710",
        ),
        (
            "19970310",
            "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
            "19970310 19990110 19990210 19990310 20010110 20010210 20010310 20030110 20030210 20030310",
        ),
        (
            "19970101",
            "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
            "19970101 19970410 19970719 20000101 20000409 20000718 20030101 20030410 20030719 20060101",
        ),
        ("19970519", "FREQ=YEARLY;BYDAY=20MO", "19970519 19980518 19990517 …"),
        ("19970512", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "19970512 19980511 19990517 …"),
        ("19970313", "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "19970313 19970320 19970327 19980305 …"),
        (
            "19970605",
            "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
            "19970605 19970612 19970619 19970626 19970703 19970710 19970717 19970724 19970731 19970807 19970814 19970821 19970828 19980604 …",
        ),
        // DTSTART is not a Friday: the RFC needs an EXDATE to be rid of it.
        (
            "19970902",
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "19970902 19980213 19980313 19981113 19990813 20001013 …",
        ),
        (
            "19970913",
            "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
            "19970913 19971011 19971108 19971213 19980110 …",
        ),
        (
            "19961105",
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "19961105 20001107 20041102 …",
        ),
        ("19970904", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "19970904 19971007 19971106"),
        (
            "19970929",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
            "19970929 19971030 19971127 19971230 19980129 19980226 19980330 …",
        ),
        (
            "19970902",
            "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000",
            "19970902 19970902T120000 19970902T150000",
        ),
        ("19970902", "FREQ=MINUTELY;INTERVAL=15;COUNT=3", "19970902 19970902T091500 19970902T093000"),
        (
            "19970902",
            "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
            "19970902 19970902T103000 19970902T120000 19970902T133000",
        ),
        (
            "19970805",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            "19970805 19970810 19970819 19970824",
        ),
        (
            "19970805",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            "19970805 19970817 19970819 19970831",
        ),
        ("20070115", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "20070115 20070130 20070215 20070315 20070330"),
    ]);
    let daily = shown("19970902T090000", "FREQ=DAILY;BYHOUR=9,10,16;BYMINUTE=0,20,40", "19970902", 30);
    let minutely = shown("19970902T090000", "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,16", "19970902", 30);
    assert_eq!(daily, minutely);
}

/// What the table of §3.3.10 says beyond the examples, and what an unusual rule means.
#[test]
fn ical_3_expanding_and_limiting() {
    check(&[
        // 29 February, and days that some months lack.
        ("20240229", "FREQ=YEARLY", "20240229 20280229 20320229 …"),
        ("20240229", "FREQ=YEARLY;COUNT=3", "20240229 20280229 20320229"),
        ("18960229", "FREQ=YEARLY;COUNT=2", "18960229 19040229"),
        ("20240131", "FREQ=MONTHLY", "20240131 20240331 20240531 20240731 …"),
        ("20240131", "FREQ=MONTHLY;COUNT=3", "20240131 20240331 20240531"),
        ("20240115", "FREQ=MONTHLY;COUNT=3;INTERVAL=5", "20240115 20240615 20241115"),
        ("20240229", "FREQ=MONTHLY;INTERVAL=12", "20240229 20280229 …"),
        ("20240131", "FREQ=MONTHLY;BYMONTHDAY=-1", "20240131 20240229 20240331 …"),
        (
            "20241230",
            "FREQ=YEARLY;BYYEARDAY=-1,366",
            "20241230 20241231 20251231 20261231 20271231 20281231 …",
        ),
        // Weeks that reach into another year; without BYDAY the start's day of the week.
        ("19961230", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", "19961230 19971229 19990104 20000103 …"),
        ("20041231", "FREQ=YEARLY;BYWEEKNO=53", "20041231 20100101 20160101 20210101 …"),
        ("20200101", "FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "20200101 20210103 20220102 20230101 20231231 …"),
        // BYDAY in the year, in months, limited by BYMONTHDAY; numbered and not.
        ("20240101", "FREQ=YEARLY;BYDAY=1MO,-1FR", "20240101 20241227 20250106 20251226 …"),
        ("20240101", "FREQ=YEARLY;BYMONTH=5,9;BYDAY=2SU", "20240101 20240512 20240908 20250511 …"),
        (
            "20240101",
            "FREQ=MONTHLY;BYDAY=1TU,WE",
            "20240101 20240102 20240103 20240110 20240117 20240124 20240131 20240206 …",
        ),
        ("20240101", "FREQ=MONTHLY;BYDAY=5MO", "20240101 20240129 20240429 20240729 …"),
        ("20240101", "FREQ=WEEKLY;BYDAY=2WE", "20240101 20240103 20240110 …"),
        (
            "20240101",
            "FREQ=DAILY;BYDAY=MO;BYMONTHDAY=1,2,3;BYMONTH=4,7",
            "20240101 20240401 20240701 20280403 …",
        ),
        ("20240101", "FREQ=WEEKLY;BYMONTH=2", "20240101 20240205 20240212 20240219 20240226 20250203 …"),
        ("20240101", "FREQ=DAILY;INTERVAL=3;BYDAY=SA,SU", "20240101 20240107 20240113 20240128 …"),
        // BYSETPOS counts from the interval's begin, from both ends, and finds nothing beyond.
        ("20240103", "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1", "20240103 20240108 20240115 …"),
        ("20240101", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=-1,2,99", "20240101 20240108 20241230 20250113 …"),
        (
            "20240101",
            "FREQ=MONTHLY;BYMONTHDAY=1,2;BYHOUR=9,10;BYSETPOS=2,-2",
            "20240101 20240101T100000 20240102 20240201T100000 20240202 …",
        ),
        // Finer frequencies with limits.
        ("20240101", "FREQ=HOURLY;BYDAY=TU;BYHOUR=9", "20240101 20240102 20240109 …"),
        (
            "20240101",
            "FREQ=HOURLY;INTERVAL=5;BYMONTHDAY=2;BYMINUTE=0,30",
            "20240101 20240102T000000 20240102T003000 20240102T050000 20240102T053000 …",
        ),
        ("20240101", "FREQ=MINUTELY;INTERVAL=7;BYHOUR=10", "20240101 20240101T100300 20240101T101000 …"),
        (
            "20240101",
            "FREQ=SECONDLY;INTERVAL=45;BYMINUTE=2,59",
            "20240101 20240101T090215 20240101T095915 20240101T100215 …",
        ),
        (
            "20240101",
            "FREQ=SECONDLY;BYSECOND=30,60;BYHOUR=9;COUNT=4",
            "20240101 20240101T090030 20240101T090059 20240101T090130",
        ),
        ("20240101", "FREQ=HOURLY;INTERVAL=24;BYMONTH=3", "20240101 20240301 20240302 …"),
    ]);
}

/// CAL-42: what no client should send costs next to nothing, or ends with its budget.
#[test]
fn cal_42_hostile_rules_are_bounded() {
    let everything = format!(
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR={};BYMINUTE={};BYSECOND={}",
        (0..24).map(|n| n.to_string()).collect::<Vec<_>>().join(","),
        (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join(","),
        (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join(","),
    );
    for (rule, at_most) in [
        ("FREQ=SECONDLY", 10),
        ("FREQ=SECONDLY;COUNT=1000000000", 10),
        ("FREQ=SECONDLY;INTERVAL=99999999999", 10),
        ("FREQ=DAILY;INTERVAL=999999999999999", 10),
        ("FREQ=YEARLY;INTERVAL=999999999999999;COUNT=999999999999999", 10),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", 10),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2", 10),
        ("FREQ=YEARLY;BYMONTHDAY=30,31;BYMONTH=2", 10),
        ("FREQ=SECONDLY;BYMONTHDAY=30;BYMONTH=2", 10),
        (&everything, 1_000),
        (&format!("{everything};BYSETPOS=5"), 1_000),
        (&format!("{everything};COUNT=1000000000"), 20_000),
        // Until the end of the range there is nothing: looked for no further.
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=300", 100),
        ("FREQ=YEARLY;BYWEEKNO=1;BYMONTH=6", 100),
        ("FREQ=SECONDLY;INTERVAL=60;BYSECOND=1", 5_000),
        ("FREQ=SECONDLY;INTERVAL=7;BYMONTH=5;BYMONTHDAY=31", 100),
    ] {
        let recurrence = recurrence("19700101T000000", rule);
        let mut budget = Budget::new(at_most);
        let mut walk = recurrence.between(civil("20260601T120000"), civil("20260602T120000"));
        let step = walk.next(&mut budget);
        assert!(step != Step::Spent && !budget.is_spent(), "{rule} takes more than {at_most} steps");
    }
    // What only counting can tell, and what never is, ends with the budget.
    for rule in ["FREQ=SECONDLY;BYSECOND=0;COUNT=1000000000", "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1"] {
        let mut budget = Budget::default();
        let recurrence = recurrence("19700101T000000", rule);
        assert_eq!(recurrence.from(civil("20260601")).next(&mut budget), Step::Spent, "{rule}");
    }
    assert_eq!(
        shown("19700101T000000", "FREQ=SECONDLY", "20260601T120000", 2),
        "20260601T120000 20260601T120001"
    );
    assert_eq!(shown("99991230T090000", "FREQ=DAILY", "99991230", 9), "99991230 99991231");
    assert_eq!(shown("99991231T235959", "FREQ=SECONDLY", "99991231", 9), "99991231T235959");
    assert_eq!(shown("00010101T090000", "FREQ=WEEKLY;INTERVAL=1000000", "00010101", 9), "00010101");
    let hours_of_a_date = Rule::parse("FREQ=HOURLY").unwrap();
    assert!(Recurrence::new(&hours_of_a_date, Civil(0), true, None).is_none());
}

#[test]
fn where_rules_end() {
    let last = |start: &str, rule: &str| match recurrence(start, rule).last(&mut Budget::default()) {
        Last::At(at) => at.datetime().strftime("%Y%m%dT%H%M%S").to_string(),
        Last::Never => "never".to_owned(),
    };
    for (rule, expected) in [
        ("FREQ=DAILY", "never"),
        ("FREQ=DAILY;COUNT=1", "20240131T090000"),
        ("FREQ=DAILY;COUNT=10", "20240209T090000"),
        ("FREQ=MONTHLY;COUNT=4", "20240731T090000"),
        ("FREQ=YEARLY;COUNT=4;INTERVAL=2", "20300131T090000"),
        ("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4", "20240212T090000"),
        ("FREQ=DAILY;UNTIL=20240401T000000", "20240401T000000"),
        ("FREQ=DAILY;UNTIL=20200401T000000", "20240131T090000"),
        ("FREQ=SECONDLY;COUNT=1000000000", "20551009T104639"),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2", "20240131T090000"),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2;COUNT=9", "20240131T090000"),
    ] {
        assert_eq!(last("20240131T090000", rule), expected, "{rule}");
    }
}

fn list(least: i64, most: i64) -> impl Strategy<Value = String> {
    prop::collection::vec(least..=most, 1..4)
        .prop_map(|list| list.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(","))
}

/// Rules of every frequency with up to three BY parts.
fn rules() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        list(1, 12).prop_map(|l| format!("BYMONTH={l}")),
        list(-53, 53).prop_map(|l| format!("BYWEEKNO={l}")),
        list(-366, 366).prop_map(|l| format!("BYYEARDAY={l}")),
        list(-31, 31).prop_map(|l| format!("BYMONTHDAY={l}")),
        prop::collection::vec(("(-?[1-5])?", "(MO|TU|WE|TH|FR|SA|SU)"), 1..4).prop_map(|l| format!(
            "BYDAY={}",
            l.iter().map(|(n, d)| format!("{n}{d}")).collect::<Vec<_>>().join(",")
        )),
        list(0, 23).prop_map(|l| format!("BYHOUR={l}")),
        list(0, 59).prop_map(|l| format!("BYMINUTE={l}")),
        list(0, 60).prop_map(|l| format!("BYSECOND={l}")),
        list(-4, 4).prop_map(|l| format!("BYSETPOS={l}")),
    ];
    let end = prop_oneof![
        3 => Just(String::new()),
        1 => (1i64..60).prop_map(|n| format!(";COUNT={n}")),
        1 => "(199[6-9]|20[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|1[0-9])".prop_map(|d| format!(";UNTIL={d}")),
    ];
    let frequency = prop::sample::select(Frequency::ALL.to_vec());
    (frequency, 1i64..30, prop::collection::vec(part, 0..4), "(MO|SU|WE)", end).prop_map(
        |(frequency, interval, parts, week_start, end)| {
            format!(
                "FREQ={};INTERVAL={interval};{};WKST={week_start}{end}",
                frequency.word(),
                parts.join(";")
            )
        },
    )
}

/// Walks until an instance, the end, or so many steps are spent; `None` then.
fn some(recurrence: &Recurrence, from: Civil, most: usize, steps: u64) -> Option<Vec<Civil>> {
    let mut budget = Budget::new(steps);
    let mut walk = recurrence.from(from);
    let mut out = Vec::new();
    while out.len() < most {
        match walk.next(&mut budget) {
            Step::At(at) => out.push(at),
            Step::End => break,
            Step::Spent => return None,
        }
    }
    Some(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Seeking comes to what walking from the start comes to; instances are in order and end.
    #[test]
    fn seeking_equals_walking(rule in rules(), start in 820_000_000i64..1_700_000_000, ahead in 0i64..200_000_000) {
        let Some(rule_read) = Rule::parse(&rule) else { return Ok(()) };
        let until = rule_read.until.map(|until| until.civil.plus(DAY - 1));
        let Some(recurrence) = Recurrence::new(&rule_read, Civil(start), false, until) else { return Ok(()) };
        let from = Civil(start + ahead);
        let Some(all) = some(&recurrence, Civil(start), 400, 20_000) else { return Ok(()) };
        prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{rule}");
        prop_assert_eq!(all.first(), Some(&Civil(start)));
        let is_all = all.len() < 400;
        let walked: Vec<_> = all.iter().copied().filter(|at| *at >= from).take(20).collect();
        if is_all || walked.len() == 20 {
            prop_assert_eq!(some(&recurrence, from, 20, 60_000).unwrap_or_default(), walked, "{}", rule);
        }
        if is_all {
            let last = recurrence.last(&mut Budget::default());
            let latest = *all.last().unwrap();
            prop_assert!(matches!(last, Last::At(at) if at >= latest) || last == Last::Never, "{} {:?}", rule, last);
            if rule.contains("COUNT") {
                prop_assert_eq!(last, Last::At(latest), "{}", rule);
            }
        }
    }

    /// No rule takes more steps than it has, wherever it is asked.
    #[test]
    fn no_rule_outruns_its_budget(rule in rules(), start in Civil::MIN.0..Civil::MAX.0, from in i64::MIN..i64::MAX) {
        let Some(rule) = Rule::parse(&rule) else { return Ok(()) };
        for all_day in [false, true] {
            let Some(recurrence) = Recurrence::new(&rule, Civil(start), all_day, None) else { continue };
            for from in [Civil(from), Civil(start)] {
                let mut budget = Budget::new(5_000);
                let mut walk = recurrence.from(from);
                let mut count = 0;
                while let Step::At(at) = walk.next(&mut budget) {
                    prop_assert!(at >= from.clamped() && at >= Civil(start));
                    count += 1;
                }
                prop_assert!(count <= 5_001);
                let _ = recurrence.last(&mut Budget::new(5_000));
            }
        }
    }
}
