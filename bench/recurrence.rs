//! Answers questions about calendar objects for `protocol-tests/clients/recurrence.sh`, which compares
//! the answers with those of other programs. Reads standard input, writes standard output: a line
//! `ASK name zone from to` (instants, seconds since 1970), then a VCALENDAR, is answered by
//! `name complete start-end …`, the instances that overlap the range.

#![expect(clippy::print_stdout, reason = "the answers are its output")]

use std::error::Error;
use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use cardkeep::domain::ical::Limits;
use cardkeep::domain::ical::instances::instances;
use cardkeep::domain::ical::overlap::Range;
use cardkeep::domain::ical::tree::parse;
use cardkeep::domain::ical::zone::{Zone, Zones};
use jiff::Timestamp;

/// How many instances of one object are told.
const MOST: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut head, mut object) = (String::new(), String::new());
    let (mut count, mut longest) = (0u32, Duration::ZERO);
    for line in stdin().lock().lines() {
        let line = line?;
        if let Some(question) = line.strip_prefix("ASK ") {
            head = question.to_owned();
            object.clear();
            continue;
        }
        object.push_str(&line);
        object.push_str("\r\n");
        if line == "END:VCALENDAR" {
            let begun = Instant::now();
            let answer = answer(&head, &object)?;
            longest = longest.max(begun.elapsed());
            count += 1;
            println!("{answer}");
        }
    }
    println!("# {count} objects, the longest took {longest:?}");
    Ok(())
}

fn answer(head: &str, object: &str) -> Result<String, Box<dyn Error>> {
    let mut words = head.split(' ');
    let mut word = || words.next().ok_or("a word of the question is missing");
    let (name, zone) = (word()?, word()?);
    let mut instant =
        || -> Result<Timestamp, Box<dyn Error>> { Ok(Timestamp::from_second(word()?.parse()?)?) };
    let range = Range { start: Some(instant()?), end: Some(instant()?) };
    let object = parse(object.as_bytes(), &Limits::default())?;
    let zones = Zones::new(Zone::named(zone).ok_or("the zone is unknown")?);
    let found = instances(&object, &range, MOST, &zones);
    let listed = found.list.iter().map(|i| format!(" {}-{}", i.start.as_second(), i.end.as_second()));
    Ok(format!("{name} {}{}", found.complete, listed.collect::<String>()))
}
