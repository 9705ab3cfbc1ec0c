//! Plans over random histories of a directory: nobody else's account is touched, names are free when
//! they are given, readings of changes and of everything come to the same, and what is done is done.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::index::Change;
use super::super::{Gone, PeopleGroup, Person};
use super::*;

/// Accounts, and what is kept of groups: what a store would hold.
#[derive(Clone, Default)]
struct World {
    rows: Vec<AccountRow>,
    members: HashMap<Id, Vec<Member>>,
    ids: u128,
}

impl World {
    /// With a local user and a local group that the user with the origin `0` may be in.
    fn new() -> Self {
        let local = |id: u8, name: &str, group| AccountRow {
            id: [id; 16],
            home: [id; 16],
            name: name.into(),
            enabled: true,
            group,
            ..AccountRow::default()
        };
        let rows = vec![local(201, "root", false), local(202, "all hands", true)];
        Self { rows, members: HashMap::new(), ids: 0 }
    }

    fn plan(&mut self, reading: &Reading, rules: Rules<'_>) -> Plan {
        let (rows, members, ids) = (&self.rows, &self.members, &mut self.ids);
        let mut fresh = || {
            *ids += 1;
            Ok(ids.to_be_bytes())
        };
        plan(&Known { accounts: rows, members, beside: None }, reading, rules, &mut fresh).unwrap()
    }

    /// Plans with those that a reading of changes touches, as the service does.
    fn plan_with_some(
        &mut self,
        index: &Index,
        reading: &Reading,
        rules: Rules<'_>,
    ) -> Option<(Plan, Vec<Change>)> {
        let touched = index.touched(reading)?;
        let mut names = BTreeSet::new();
        for person in reading.people.iter().filter(|person| person.enabled) {
            let Ok(name) = UserName::parse(&person.name) else { continue };
            let holder = self.rows.iter().find(|row| !row.group && row.name == name.as_str());
            if !names.insert(name) || !index.may_have(person, holder) {
                return None;
            }
        }
        let rows = |ids: &BTreeSet<Id>| -> Vec<AccountRow> {
            self.rows.iter().filter(|row| ids.contains(&Id(row.id))).cloned().collect()
        };
        let mut accounts = rows(&touched);
        assert_eq!(accounts.len(), touched.len());
        let naming = index.naming(reading, &accounts)?;
        let mut groups = naming.groups.clone();
        groups.extend(accounts.iter().flat_map(|row| &row.groups));
        let admins = rules.admin_group.map(|group| group.as_str());
        let admins = self.rows.iter().find(|row| row.group && Some(row.name.as_str()) == admins);
        groups.extend(admins.map(|row| Id(row.id)));
        accounts.extend(rows(&groups));
        let members = naming.members(&accounts);
        let ids = &mut self.ids;
        let mut fresh = || {
            *ids += 1;
            Ok(ids.to_be_bytes())
        };
        let known = Known { accounts: &accounts, members: &members, beside: Some(index) };
        let plan = plan(&known, reading, rules, &mut fresh).unwrap();
        let changes = Change::all(&plan)?;
        Some((plan, changes))
    }

    /// Carries out all of a plan.
    fn carry_out_all(&mut self, plan: Plan) {
        self.carry_out(plan.works);
        for gone in plan.gone_groups {
            self.rows.retain(|row| row.id != gone.0);
            self.members.remove(&gone);
        }
    }

    fn at(&self, row: &AccountRow) -> usize {
        let at = self.rows.iter().position(|known| known.group == row.group && known.name == row.name);
        let at = at.expect("an account of that name");
        assert!(self.rows[at] == *row, "the row was read as it is");
        at
    }

    fn free(&self, row: &AccountRow) {
        assert!(
            !self.rows.iter().any(|known| known.group == row.group && known.name == row.name),
            "{} is taken",
            row.name
        );
        assert!(row.principal().is_some(), "{} is no name", row.name);
    }

    fn carry_out(&mut self, works: Vec<Work>) {
        for work in works {
            match work {
                Work::Update { before, after } => {
                    let at = self.at(&before);
                    assert!(before.origin.is_some(), "a local account is nobody's to change");
                    assert_eq!((before.id, before.home, before.group), (after.id, after.home, after.group));
                    self.rows[at] = *after;
                }
                Work::Rename { before, after } => {
                    let at = self.at(&before);
                    assert!(before.origin.is_some(), "a local account is nobody's to change");
                    self.free(&after);
                    self.rows[at] = *after;
                }
                Work::Create(row) => {
                    self.free(&row);
                    assert!(!self.rows.iter().any(|known| known.id == row.id || known.home == row.home));
                    self.rows.push(*row);
                }
                Work::Keep { home, members } => {
                    let group = self.rows.iter().find(|row| row.home == home && row.group);
                    self.members.insert(Id(group.expect("the group").id), members);
                }
            }
        }
    }

    /// Everything but ids, in words.
    fn told(&self) -> Vec<String> {
        let name = |id: &Id| self.rows.iter().find(|row| row.id == id.0).map(|row| row.name.clone());
        let told = |row: &AccountRow| {
            let groups: BTreeSet<_> = row.groups.iter().map(|id| name(id).expect("the group")).collect();
            let origin = row.origin.as_ref().map(|o| (&o.id, &o.dn, o.gone, o.held, &o.manager));
            let members = self.members.get(&Id(row.id)).filter(|_| !is_gone(row));
            let mail = (&row.email, &row.addresses, &row.display_name);
            let state = (row.enabled, row.admin, row.epoch, row.group);
            format!("{} {origin:?} {groups:?} {mail:?} {state:?} {members:?}", row.name)
        };
        let mut told: Vec<_> = self.rows.iter().map(told).collect();
        told.sort();
        told
    }
}

const RULES: Rules<'static> = Rules { admin_group: None, most_leavers: 1000, accept_leavers: true, now: 1 };

/// What a directory holds, by its ids.
#[derive(Clone, Default)]
pub(in crate::service::directory) struct Directory {
    pub(in crate::service::directory) people: BTreeMap<String, Person>,
    pub(in crate::service::directory) groups: BTreeMap<String, PeopleGroup>,
}

impl Directory {
    pub(in crate::service::directory) fn everything(&self) -> Reading {
        let ids = self.people.keys().chain(self.groups.keys()).cloned().collect();
        Reading {
            people: self.people.values().cloned().collect(),
            groups: self.groups.values().cloned().collect(),
            gone: Gone::AllBut(ids),
            ..Reading::default()
        }
    }

    pub(in crate::service::directory) fn changes_since(&self, before: &Self) -> Reading {
        let people = self.people.iter().filter(|(id, person)| before.people.get(*id) != Some(person));
        let groups = self.groups.iter().filter(|(id, group)| before.groups.get(*id) != Some(group));
        let gone = before.people.keys().filter(|id| !self.people.contains_key(*id));
        let gone = gone.chain(before.groups.keys().filter(|id| !self.groups.contains_key(*id)));
        Reading {
            people: people.map(|(_, person)| person.clone()).collect(),
            groups: groups.map(|(_, group)| group.clone()).collect(),
            gone: Gone::These(gone.cloned().collect()),
            ..Reading::default()
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::service::directory) enum Event {
    Person(u8, Option<(u8, u8, bool, Option<u8>)>),
    Group(u8, Option<(u8, Vec<u8>)>),
}

const NAMES: [&str; 6] = ["ann", "Bob", "carol", "root", "no name", "dan"];
const GROUPS: [&str; 5] = ["sales", "admins", "all hands", "a/b", "IT"];

pub(in crate::service::directory) fn events() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let person = (
        0u8..6,
        proptest::option::weighted(0.8, (0u8..6, 0u8..3, any::<bool>(), proptest::option::of(0u8..6))),
    )
        .prop_map(|(id, what)| Event::Person(id, what));
    let group = (0u8..4, proptest::option::weighted(0.8, (0u8..5, proptest::collection::vec(0u8..16, 0..5))))
        .prop_map(|(id, what)| Event::Group(id, what));
    let step = proptest::collection::vec(prop_oneof![3 => person, 2 => group], 0..5);
    proptest::collection::vec(step, 1..8)
}

fn dn_of_person(id: u8, place: u8) -> String {
    format!("uid=P{id},ou=Place {place},dc=example")
}

pub(in crate::service::directory) fn happen(directory: &mut Directory, event: &Event) {
    match event {
        Event::Person(id, None) => drop(directory.people.remove(&format!("p{id}"))),
        Event::Person(id, Some((name, place, enabled, manager))) => {
            let person = Person {
                id: format!("p{id}"),
                dn: dn_of_person(*id, *place),
                name: NAMES[usize::from(*name)].into(),
                enabled: *enabled || *place > 0,
                display_name: format!("Person {name}"),
                emails: vec![format!("{name}@example.org"), format!("{place}@example.org")],
                manager: manager.map(|id| dn_of_person(id, 0)),
                ..Person::default()
            };
            directory.people.insert(person.id.clone(), person);
        }
        Event::Group(id, None) => drop(directory.groups.remove(&format!("g{id}"))),
        Event::Group(id, Some((name, members))) => {
            let member = |member: &u8| match member {
                0..6 => Member::Dn(dn_of_person(*member, member % 3).to_uppercase()),
                6..12 => Member::UserName(NAMES[usize::from(member - 6)].into()),
                _ => Member::Dn(format!("CN=G{},dc=example", member - 12)),
            };
            let group = PeopleGroup {
                id: format!("g{id}"),
                dn: format!("cn=g{id}, dc=example"),
                name: GROUPS[usize::from(*name)].into(),
                members: members.iter().map(member).collect(),
                ..PeopleGroup::default()
            };
            directory.groups.insert(group.id.clone(), group);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changes_and_everything_come_to_the_same(steps in events(), admins in any::<bool>()) {
        let group = GroupName::parse("admins").unwrap();
        let rules = Rules { admin_group: admins.then_some(&group), ..RULES };
        let (mut whole, mut changed) = (World::new(), World::new());
        let (mut directory, mut known, mut contested) = (Directory::default(), Directory::default(), false);
        let mut accounts: BTreeMap<String, [u8; 16]> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            step.iter().for_each(|event| happen(&mut directory, event));
            let works = whole.plan(&directory.everything(), rules).works;
            whole.carry_out(works);
            let reading = match contested {
                true => directory.everything(),
                // Some directories tell who is there, and of those who changed what they are.
                false if number % 2 == 1 => {
                    Reading { gone: directory.everything().gone, ..directory.changes_since(&known) }
                }
                false => directory.changes_since(&known),
            };
            let plan = changed.plan(&reading, rules);
            contested = plan.contested;
            changed.carry_out(plan.works);
            known = directory.clone();
            prop_assert_eq!(whole.told(), changed.told());
            for world in [&mut whole, &mut changed] {
                prop_assert!(world.plan(&directory.everything(), rules).works.is_empty(), "it is done");
            }
            for row in whole.rows.iter().filter(|row| row.origin.is_some()) {
                let origin = row.origin.as_ref().unwrap();
                prop_assert_eq!(*accounts.entry(origin.id.clone()).or_insert(row.id), row.id);
                let there = directory.people.get(&origin.id).is_some_and(|person| person.enabled)
                    || directory.groups.contains_key(&origin.id);
                prop_assert_eq!((row.enabled, origin.gone), (there, !there));
            }
        }
    }

    #[test]
    fn a_plan_that_was_cut_short_is_finished_by_the_next(steps in events(), cut in 0usize..12) {
        let (mut world, mut directory) = (World::new(), Directory::default());
        for step in &steps {
            step.iter().for_each(|event| happen(&mut directory, event));
            let reading = directory.everything();
            let mut works = world.plan(&reading, RULES).works;
            works.truncate(cut);
            world.carry_out(works);
            let works = world.plan(&reading, RULES).works;
            world.carry_out(works);
            prop_assert!(world.plan(&reading, RULES).works.is_empty());
        }
    }
}

/// Who is planned with alone comes to what comes of planning with everybody, step after step.
#[test]
fn planning_with_some_comes_to_the_same() {
    let count = AtomicUsize::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 400, ..ProptestConfig::default() });
    let histories = (events(), any::<bool>(), 0usize..1000);
    let ran = runner.run(&histories, |(steps, admins, most)| {
        let group = GroupName::parse("admins").unwrap();
        let admin_group = admins.then_some(&group);
        let rules = Rules { admin_group, accept_leavers: false, most_leavers: most, ..RULES };
        let (mut world, mut index) = (World::new(), None::<Index>);
        let (mut directory, mut known) = (Directory::default(), Directory::default());
        for (number, step) in steps.iter().chain(&steps).enumerate() {
            let groups = number % 3 == 0;
            let events = step.iter().filter(|event| groups || matches!(event, Event::Person(..)));
            events.for_each(|event| happen(&mut directory, event));
            let changes = directory.changes_since(&known);
            let reading = match number % 2 {
                0 => changes,
                _ => Reading { gone: directory.everything().gone, ..changes },
            };
            known = directory.clone();
            let mut all = world.clone();
            let mut plan = all.plan(&reading, rules);
            let mut some = world.clone();
            let planned = index.as_ref().and_then(|index| some.plan_with_some(index, &reading, rules));
            if let Some((alone, changes)) = planned {
                count.fetch_add(1, Ordering::Relaxed);
                prop_assert!(alone.report == plan.report);
                prop_assert_eq!(&alone.settle, &plan.settle);
                prop_assert!(!plan.contested && plan.gone_groups.is_empty());
                let mut both = [(all.clone(), &plan.works), (some, &alone.works)];
                both.iter_mut().for_each(|(world, works)| world.carry_out(works.to_vec()));
                prop_assert!(both[0].0.rows == both[1].0.rows, "{:?}", (both[0].0.told(), both[1].0.told()));
                prop_assert!(both[0].0.members == both[1].0.members);
                index.as_mut().unwrap().follow(&changes);
                index.as_mut().unwrap().assert_is(&both[0].0.rows, &both[0].0.members);
            } else {
                index = None;
            }
            if plan.contested {
                // Then everything is read.
                plan = all.plan(&directory.everything(), Rules { accept_leavers: true, ..rules });
            }
            world = all;
            world.carry_out_all(plan);
            let again = world.clone().plan(&directory.everything(), rules);
            if again.works.is_empty() && again.gone_groups.is_empty() && !again.contested {
                index = index.or_else(|| Index::of(&world.rows, &world.members));
            } else {
                index = None;
            }
        }

        Ok(())
    });
    ran.unwrap();
    // What never happens proves nothing.
    assert!(count.into_inner() > 400, "few were planned with alone");
}

fn person(id: &str, name: &str) -> Person {
    let dn = format!("uid={id},dc=x");
    Person { id: id.into(), dn, name: name.into(), enabled: true, ..Person::default() }
}

fn all(people: Vec<Person>, groups: Vec<PeopleGroup>) -> Reading {
    let ids = people.iter().map(|p| p.id.clone()).chain(groups.iter().map(|g| g.id.clone())).collect();
    Reading { people, groups, gone: Gone::AllBut(ids), ..Reading::default() }
}

#[test]
fn many_leavers_are_not_believed_and_few_are() {
    let mut world = World::new();
    let people: Vec<_> = (0..20).map(|n| person(&format!("{n}"), &format!("user{n}"))).collect();
    let works = world.plan(&all(people.clone(), Vec::new()), RULES).works;
    world.carry_out(works);
    let rules = Rules { most_leavers: 200, accept_leavers: false, ..RULES };
    let left = |count: usize| all(people.iter().skip(count).cloned().collect(), Vec::new());
    assert_eq!(world.plan(&left(4), rules).report.pending_leavers, None);
    assert_eq!(world.plan(&left(5), rules).report.pending_leavers, Some(5));
    let rules = Rules { most_leavers: 250, ..rules };
    assert_eq!(world.plan(&left(5), rules).report.pending_leavers, None);
    assert_eq!(world.plan(&left(20), rules).report.pending_leavers, Some(20));
    assert_eq!(world.plan(&left(20), Rules { accept_leavers: true, ..rules }).report.pending_leavers, None);
}

#[test]
fn an_admins_word_outlives_leaving_and_coming_back() {
    let mut world = World::new();
    let here = all(vec![person("1", "ann"), person("2", "bob")], Vec::new());
    let works = world.plan(&here, RULES).works;
    world.carry_out(works);
    world.rows.iter_mut().filter(|row| row.name == "bob").for_each(|row| row.enabled = false);
    for reading in [all(Vec::new(), Vec::new()), here] {
        let works = world.plan(&reading, RULES).works;
        world.carry_out(works);
    }
    let enabled = |name: &str| world.rows.iter().find(|row| row.name == name).unwrap().enabled;
    assert!(enabled("ann") && !enabled("bob"));
}
