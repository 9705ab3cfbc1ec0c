//! Allocating, giving back, destroying and opening again, against a model; and many threads at
//! once.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Allocate(u8),
    Release(Vec<u8>),
    Destroy(Vec<u8>),
    Install(u8),
    Rotate(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Allocate),
        2 => some().prop_map(Step::Release),
        2 => some().prop_map(Step::Destroy),
        1 => (0..20_u8).prop_map(Step::Install),
        1 => (1..4_u8).prop_map(Step::Rotate),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    live: BTreeMap<Slot, DataKey>,
    free: VecDeque<u32>,
    end: u32,
    destroyed: Vec<DataKey>,
}

impl Model {
    fn grow(&mut self) {
        self.free.extend(self.end..self.end + FEW);
        self.end += FEW;
    }

    fn take(&mut self) -> Slot {
        if self.free.is_empty() {
            self.grow();
        }
        Slot(self.free.pop_front().unwrap())
    }

    /// Some live slots, in order.
    fn pick(&self, which: &[u8]) -> Vec<Slot> {
        let live: Vec<Slot> = self.live.keys().copied().collect();
        let mut picked: Vec<Slot> =
            which.iter().filter_map(|at| live.get(usize::from(*at) % live.len().max(1))).copied().collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

fn run(steps: Vec<Step>) {
    let medium = MemoryMedium::new();
    let mut keys = create_on(medium.clone(), FEW).unwrap();
    let mut model = Model::default();
    model.grow();
    let mut current = 1;
    for step in steps {
        match step {
            Step::Allocate(count) => {
                for (slot, key) in taken(&keys, count.into()) {
                    assert_eq!(slot, model.take());
                    assert_eq!(model.live.insert(slot, key), None);
                }
            }
            Step::Release(which) => {
                let picked = model.pick(&which);
                keys.release(&picked);
                for slot in picked {
                    model.live.remove(&slot);
                    model.free.push_back(slot.0);
                }
            }
            Step::Destroy(which) => {
                let picked = model.pick(&which);
                keys.destroy(&picked).unwrap();
                for slot in picked {
                    model.destroyed.extend(model.live.remove(&slot));
                    model.free.push_back(slot.0);
                }
            }
            Step::Install(count) => {
                let given: Vec<DataKey> = (0..count).map(|byte| DataKey::new([byte; KEY])).collect();
                let mut expected: Vec<Slot> = given.iter().map(|_| model.take()).collect();
                expected.sort_unstable();
                let installed = keys.install(&given).unwrap();
                assert_eq!(installed, expected);
                model.live.extend(installed.into_iter().zip(given));
            }
            Step::Rotate(number) => {
                keys.rotate(&master(number)).unwrap();
                current = number;
            }
            Step::Reopen => {
                keys = open_on(medium.clone(), &[master(current)]).unwrap();
                keys.occupy(&mut model.live.keys().copied()).unwrap();
                model.free.make_contiguous().sort_unstable();
            }
        }
        for slot in 0..model.end + 1 {
            let slot = Slot(slot);
            assert_eq!(keys.key(slot), model.live.get(&slot).copied());
            assert_eq!(keys.is_free(slot), slot.0 < model.end && !model.live.contains_key(&slot));
        }
    }
    let live: Vec<_> = model.live.into_iter().collect();
    assert_whole(&keys, &live);
    let masters: Vec<MasterKey> = (1..4).map(master).collect();
    let found = keys_in(&medium.bytes(), &masters);
    // Installed keys are the same few in each step, and may be there again.
    let is_installed = |key: &DataKey| key.as_bytes().iter().all(|byte| *byte == key.as_bytes()[0]);
    for key in model.destroyed.iter().filter(|key| !is_installed(key)) {
        assert!(!found.contains(key.as_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn slots_behave_as_the_model(steps in prop::collection::vec(step(), 1..30)) {
        run(steps);
    }
}

#[test]
fn keys_are_read_while_the_master_key_changes() {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), FEW).unwrap();
    let live = taken(&keys, 50);
    let ended = AtomicBool::new(false);
    let kept = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    assert_all_there(&keys, &live);
                }
            });
        }
        let others = scope.spawn(|| {
            let mut kept = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let some = taken(&keys, 3);
                keys.destroy(&[some[0].0]).unwrap();
                assert_eq!(keys.key(some[0].0), None);
                keys.release(&[some[1].0]);
                if kept.len() < 60 {
                    kept.push(some[2]);
                } else {
                    keys.release(&[some[2].0]);
                }
                assert_all_there(&keys, &kept);
            }
            kept
        });
        for number in (1..21).map(|number| number % 4 + 1) {
            keys.rotate(&master(number)).unwrap();
            assert_eq!(keys.verify(&slots(&live)).unwrap().damaged, 0);
        }
        ended.store(true, Ordering::Relaxed);
        others.join().unwrap()
    });
    let all = [live, kept].concat();
    let keys = open_on(medium, &[master(1)]).unwrap();
    occupy(&keys, &all);
    assert_all_there(&keys, &all);
    assert_whole(&keys, &all);
}

#[test]
fn no_slot_is_handed_out_twice() {
    let keys = create_on(MemoryMedium::new(), FEW).unwrap();
    let mut all: Vec<Slot> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| slots(&taken(&keys, 200)))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 800);
}
