//! What concerns the whole card, once every line has been converted.

use super::super::vcard::Version;
use super::super::vcard::property::Line;
use super::draft::Draft;
use super::{addresses, names};

/// A step over the whole card, with the requirements that ask for it.
struct Finish {
    version: Option<Version>,
    #[cfg_attr(not(test), expect(dead_code, reason = "the table is also the map to the requirements"))]
    ids: &'static str,
    step: fn(&mut Draft),
}

/// In the order in which they must happen.
const STEPS: [Finish; 6] = [
    Finish { version: Some(Version::V4), ids: "VC-25", step: addresses::join_labels },
    Finish { version: None, ids: "VC-13", step: keep_one },
    Finish { version: Some(Version::V4), ids: "VC-27", step: names::join_names },
    Finish { version: None, ids: "VC-9", step: names::ensure_fn },
    Finish { version: Some(Version::V3), ids: "VC-10", step: names::ensure_n },
    Finish { version: None, ids: "VC-23, VC-24", step: Draft::sweep_labels },
];

/// Properties of which a card has one, and whether the last one counts (VC-13).
const SINGLE: [(&str, bool); 4] = [("UID", false), ("N", false), ("PRODID", false), ("REV", true)];

/// Puts the card right.
pub(super) fn finish(draft: &mut Draft) {
    let to = draft.to;
    for finish in STEPS.iter().filter(|finish| finish.version.is_none_or(|version| version == to)) {
        (finish.step)(draft);
    }
}

/// Leaves one of each property that a card has once; alternatives of N are no duplicates.
fn keep_one(draft: &mut Draft) {
    for (name, last_counts) in SINGLE {
        let is_one =
            |line: &Line| line.property().is_some_and(|p| p.is(name) && p.parameter("ALTID").is_none());
        let mut left = draft.out.iter().filter(|line| is_one(line)).count();
        if left < 2 {
            continue;
        }
        let total = left;
        draft.out.retain(|line| {
            if !is_one(line) {
                return true;
            }
            left -= 1;
            if last_counts { left == 0 } else { left + 1 == total }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_names_what_asks_for_it() {
        assert!(STEPS.iter().all(|step| step.ids.starts_with("VC-")));
    }
}
