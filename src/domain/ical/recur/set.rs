//! The moments of one interval of a rule: days times hours times minutes times seconds, counted and
//! sought by arithmetic, so that a rule with every second of a year costs no more than its days.

use crate::domain::ical::time::Civil;

/// The times of a day (or of an hour, of a minute), as lists to multiply.
#[derive(Debug, Clone)]
pub struct Times {
    hours: Vec<i64>,
    minutes: Vec<i64>,
    seconds: Vec<i64>,
}

impl Times {
    /// The times of these hours, minutes and seconds; each list in order and not empty.
    pub fn new(hours: Vec<i64>, minutes: Vec<i64>, seconds: Vec<i64>) -> Self {
        Self { hours, minutes, seconds }
    }

    fn len(&self) -> usize {
        self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    /// The time at a place, in seconds.
    fn get(&self, place: usize) -> Option<i64> {
        let of_hour = self.minutes.len() * self.seconds.len();
        let hour = self.hours.get(place.checked_div(of_hour)?)?;
        let minute = self.minutes.get(place % of_hour / self.seconds.len())?;
        let second = self.seconds.get(place % self.seconds.len())?;
        Some(hour * 3600 + minute * 60 + second)
    }

    /// The first place whose time is not before `second`.
    fn place_of(&self, second: i64) -> usize {
        let (hour, minute, second) =
            (second.div_euclid(3600), second.rem_euclid(3600) / 60, second.rem_euclid(60));
        let (minutes, seconds) = (self.minutes.len(), self.seconds.len());
        let at_hour = self.hours.partition_point(|h| *h < hour);
        if self.hours.get(at_hour) != Some(&hour) {
            return at_hour * minutes * seconds;
        }
        let at_minute = self.minutes.partition_point(|m| *m < minute);
        if self.minutes.get(at_minute) != Some(&minute) {
            return (at_hour * minutes + at_minute) * seconds;
        }
        let at_second = self.seconds.partition_point(|s| *s < second);
        (at_hour * minutes + at_minute) * seconds + at_second
    }
}

/// The moments of one interval, in order.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Where the days (hours, minutes, seconds) begin.
    starts: Vec<i64>,
    /// With BYSETPOS, the moments that were picked.
    picked: Option<Vec<i64>>,
    count: usize,
}

impl Set {
    /// Takes other moments: at each of `starts`, each of `times`, of them all those at `positions`
    /// where there are any. Keeps its memory.
    pub fn fill(&mut self, times: &Times, positions: &[i64], fill: impl FnOnce(&mut Vec<i64>)) {
        self.starts.clear();
        self.picked = None;
        fill(&mut self.starts);
        self.count = self.starts.len() * times.len();
        if positions.is_empty() {
            return;
        }
        let place = |position: i64| match usize::try_from(position) {
            Ok(from_start) => from_start.checked_sub(1),
            Err(_) => self.count.checked_sub(usize::try_from(position.unsigned_abs()).ok()?),
        };
        let mut picked: Vec<i64> =
            positions.iter().filter_map(|position| self.product(times, place(*position)?)).collect();
        picked.sort_unstable();
        picked.dedup();
        self.count = picked.len();
        self.picked = Some(picked);
    }

    /// How many moments there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The moment at a place.
    pub fn get(&self, times: &Times, place: usize) -> Option<Civil> {
        match &self.picked {
            Some(picked) => picked.get(place).copied(),
            None => self.product(times, place),
        }
        .map(Civil)
    }

    /// The first place whose moment is not before `at`.
    pub fn place_of(&self, times: &Times, at: Civil) -> usize {
        if let Some(picked) = &self.picked {
            return picked.partition_point(|moment| *moment < at.0);
        }
        // The last start that is not after `at` is the only one that `at` can fall into.
        let after = self.starts.partition_point(|start| *start <= at.0);
        match after.checked_sub(1).and_then(|index| Some((index, self.starts.get(index)?))) {
            Some((index, start)) => index * times.len() + times.place_of(at.0 - start).min(times.len()),
            None => 0,
        }
    }

    fn product(&self, times: &Times, place: usize) -> Option<i64> {
        let start = self.starts.get(place.checked_div(times.len())?)?;
        Some(start + times.get(place % times.len())?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(most: i64) -> impl Strategy<Value = Vec<i64>> {
        prop::collection::btree_set(0..most, 1..5).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        /// Places are those of the moments written out.
        #[test]
        fn arithmetic_equals_writing_out(
            days in prop::collection::btree_set(-3i64..4, 0..4),
            hours in list(24), minutes in list(60), seconds in list(60),
            positions in prop::collection::vec((-60i64..60).prop_filter("no zero", |p| *p != 0), 0..4),
            at in -400_000i64..500_000,
        ) {
            let mut moments: Vec<i64> = Vec::new();
            for day in &days {
                for hour in &hours {
                    for minute in &minutes {
                        moments.extend(seconds.iter().map(|second| day * 86_400 + hour * 3600 + minute * 60 + second));
                    }
                }
            }
            if !positions.is_empty() {
                let count = i64::try_from(moments.len()).unwrap();
                let place = |p: i64| if p > 0 { p - 1 } else { count + p };
                let picked: std::collections::BTreeSet<i64> = positions.iter()
                    .filter_map(|p| moments.get(usize::try_from(place(*p)).ok()?).copied()).collect();
                moments = picked.into_iter().collect();
            }
            let times = Times::new(hours, minutes, seconds);
            let mut set = Set::default();
            set.fill(&times, &positions, |out| out.extend(days.iter().map(|day| day * 86_400)));
            prop_assert_eq!(set.len(), moments.len());
            let read: Vec<i64> = (0..set.len()).map(|place| set.get(&times, place).unwrap().0).collect();
            prop_assert_eq!(&read, &moments);
            prop_assert_eq!(set.place_of(&times, Civil(at)), moments.partition_point(|m| *m < at));
            prop_assert!(set.get(&times, set.len()).is_none());
        }
    }
}
