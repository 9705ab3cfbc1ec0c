//! Events, as the integrity check sees them: each under its own number, without gaps, up to the
//! counter.

use crate::store::census::{Census, UNREADABLE};
use crate::store::{codec, keys};

use super::finding::{Mend, Stage};

/// What the walk saw of the events.
#[derive(Default)]
pub(in crate::store) struct EventsSeen {
    counter: Option<Option<u64>>,
    /// The first and last that are in their place, and how many.
    span: Option<(u64, u64)>,
    count: u64,
}

impl Census {
    pub(in crate::store) fn look_at_event(&mut self, key: &[u8], value: &[u8]) {
        if key == keys::event_counter() {
            self.events.counter = Some(value.try_into().ok().map(u64::from_be_bytes));
            return;
        }
        let Some(number) = keys::event_number(key) else {
            return self.fault(key, "a row's key has a wrong length");
        };
        if codec::stamp(value).is_ok_and(|(stamp, _)| stamp != number) {
            let mend = match self.sealer.decode_event(value) {
                Ok(_) => Mend::drop_row(Stage::Orphans, key.to_vec()),
                Err(_) => Mend::Nothing,
            };
            return self.finding(key, "an event is not in its place", mend);
        }
        let first = self.events.span.map_or(number, |(first, _)| first);
        self.events.span = Some((first, number));
        self.events.count += 1;
        if self.sealer.decode_event(value).is_err() {
            self.fault(key, UNREADABLE);
        }
    }

    /// Events are numbered without gaps, and only the oldest ever go.
    pub(in crate::store) fn settle_events(&mut self) {
        let key = keys::event_counter();
        let last = self.events.span.map_or(0, |(_, last)| last);
        match self.events.counter {
            None if last == 0 => {}
            Some(Some(counter)) if counter >= last => {
                if self.events.span.is_some() && counter > last {
                    self.fault(&key, "the newest events are missing");
                }
            }
            _ => {
                let anew = last.to_be_bytes().to_vec();
                self.finding(
                    &key,
                    "the counter of events is wrong",
                    Mend::put(Stage::Logs, key.clone(), anew),
                );
            }
        }
        if let Some((first, last)) = self.events.span
            && last - first >= self.events.count
        {
            self.fault(&key, "events are missing");
        }
    }
}
