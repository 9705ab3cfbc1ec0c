//! Made-up appointments, the same for the same seed: over ten years of working hours, each twentieth
//! a series of ten weeks.

/// The days over which the appointments are spread, and the first of them since 1970.
const DAYS: u64 = 3_650;
const FIRST: i64 = 18_262; // 2020-01-01
/// How many weeks a series has.
const WEEKS: u64 = 10;

fn day(i: u64) -> i64 {
    FIRST + (i.wrapping_mul(7_919) % DAYS) as i64
}

fn recurs(i: u64) -> bool {
    i % 20 == 0
}

/// The calendar date of a day since 1970 (Howard Hinnant's civil_from_days).
fn date(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn stamp(day: i64, hour: u64) -> String {
    let (year, month, date) = date(day);
    format!("{year:04}{month:02}{date:02}T{hour:02}0000")
}

/// An appointment as iCalendar.
pub fn event(uid: &str, i: u64, rev: u64) -> String {
    let (start, hour) = (day(i), 8 + i % 9);
    let rule = if recurs(i) { format!("RRULE:FREQ=WEEKLY;COUNT={WEEKS}\r\n") } else { String::new() };
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//davbench//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:{}Z\r\nDTEND:{}Z\r\n{rule}SUMMARY:Appointment {i}\\, {rev}\r\n\
         LOCATION:Room {}\r\nDESCRIPTION:What is to be said about it before and after\\, and who brings \
         what.\r\nATTENDEE;CN=Somebody;PARTSTAT=ACCEPTED:mailto:somebody{}@example.org\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        stamp(start, hour),
        stamp(start, hour + 1),
        i % 40,
        i % 500,
    )
}

/// A month, told by a number, as a query's time range.
pub fn month(k: u64) -> (String, String) {
    let (from, to) = bounds(k);
    (format!("{}Z", stamp(from, 0)), format!("{}Z", stamp(to, 0)))
}

fn bounds(k: u64) -> (i64, i64) {
    let from = FIRST + ((k * 31) % (DAYS - 31)) as i64;
    (from, from + 31)
}

/// How many of the first `n` appointments are in that month.
pub fn within(k: u64, n: u64) -> usize {
    let (from, to) = bounds(k);
    let is_in = |i: &u64| {
        let weeks = if recurs(*i) { WEEKS } else { 1 };
        (0..weeks).any(|week| (from..to).contains(&(day(*i) + 7 * week as i64)))
    };
    (0..n).filter(is_in).count()
}
