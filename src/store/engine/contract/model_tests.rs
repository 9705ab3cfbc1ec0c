//! Every engine does under random batches what a plain ordered map does.

use proptest::prelude::*;

use super::*;

/// What a batch does, once more and as plainly as possible.
fn model(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) -> Outcome {
    for (key, guard) in &batch.guards {
        let holds = match guard {
            Guard::Absent => !rows.contains_key(key),
            Guard::Is(value) => rows.get(key).is_some_and(|found| found == value),
        };
        if !holds {
            return Outcome::Moved;
        }
    }
    let mut numbers = Vec::new();
    for key in &batch.counters {
        let before = rows.get(key).map_or(0, |v| u64::from_be_bytes(v.as_slice().try_into().unwrap()));
        numbers.push(before + 1);
        rows.insert(key.clone(), (before + 1).to_be_bytes().to_vec());
    }
    for write in &batch.writes {
        match write {
            Write::Delete { key } => {
                rows.remove(key);
            }
            Write::Put { key, value, stamp } => {
                let (mut key, mut value) = (key.clone(), value.clone());
                if let Some(stamp) = stamp {
                    let number = numbers[stamp.counter].to_be_bytes();
                    if stamp.in_key {
                        key.extend(number);
                    }
                    if let Some(offset) = stamp.in_value {
                        value[offset..offset + 8].copy_from_slice(&number);
                    }
                }
                rows.insert(key, value);
            }
        }
    }
    Outcome::Applied(numbers)
}

fn some_key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3u8, 0..3)
}

fn some_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(0..3u8, 0..2),
        1 => proptest::collection::vec(any::<u8>(), 8..3000),
    ]
}

fn some_write(counters: usize) -> impl Strategy<Value = Write> {
    let stamp = (any::<bool>(), any::<prop::sample::Index>(), any::<bool>(), any::<prop::sample::Index>());
    prop_oneof![
        1 => some_key().prop_map(|key| Write::Delete { key }),
        3 => (some_key(), some_value(), stamp).prop_map(move |(key, value, stamp)| {
            let (in_key, counter, in_value, offset) = stamp;
            let fits = in_value && value.len() >= 8;
            let stamp = (counters > 0).then(|| Stamp {
                counter: counter.index(counters),
                in_key,
                in_value: fits.then(|| offset.index(value.len() - 7)),
            });
            Write::Put { key, value, stamp }
        }),
    ]
}

fn some_batch() -> impl Strategy<Value = Batch> {
    let guard = prop_oneof![
        3 => Just(Guard::Absent),
        1 => proptest::collection::vec(0..3u8, 0..2).prop_map(|value| Guard::Is(value.into())),
    ];
    // Counter keys begin with a byte that no row's key has, so that rows never damage them.
    let counters = proptest::collection::vec((0..2u8).prop_map(|n| vec![9, n]), 0..3);
    let guards = proptest::collection::vec((some_key(), guard), 0..2);
    (guards, counters).prop_flat_map(|(guards, counters)| {
        let writes = proptest::collection::vec(some_write(counters.len()), 0..5);
        writes.prop_map(move |writes| Batch {
            guards: guards.clone(),
            counters: counters.clone(),
            writes,
            may_add: 0,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn engines_do_as_a_plain_map_does(
        batches in proptest::collection::vec(some_batch(), 1..30),
        watched in any::<prop::sample::Index>(),
    ) {
        for subject in [memory(), redb()] {
            runtime().block_on(async {
                let engine = &subject.engine;
                let mut rows = BTreeMap::new();
                let mut held = None;
                for (step, batch) in batches.iter().enumerate() {
                    if step == watched.index(batches.len()) {
                        held = Some((engine.snapshot().await.unwrap(), rows.clone()));
                    }
                    let outcome = engine.commit(batch.clone()).await.unwrap();
                    assert_eq!(outcome, model(&mut rows, batch));
                    if step % 8 == 7 {
                        assert_eq!(everything(engine).await, Rows::from_iter(rows.clone()));
                    }
                }
                assert_eq!(everything(engine).await, Rows::from_iter(rows));
                let (snapshot, then) = held.unwrap();
                let seen = range(&*snapshot, b"", &[0xff; 40], Extent::Few).await;
                assert_eq!(seen, Rows::from_iter(then));
            });
        }
    }
}
