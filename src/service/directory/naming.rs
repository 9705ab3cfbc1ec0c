//! Which name each account gets: a name is one account's, whoever has it keeps it before others get
//! it, and what is left by somebody who went is free for others. Knows only names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Somebody who is there and has, or wants, a name.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// What the directory calls it for ever.
    pub(super) id: String,
    /// The name that it is to have.
    pub(super) name: Option<String>,
    /// The name that its account has.
    pub(super) current: Option<String>,
}

/// What a kind of accounts is called.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names of those that are there, by their ids; who is not in it gets no account.
    pub(super) given: BTreeMap<String, String>,
    /// Names of those that went, by their ids.
    pub(super) aside: BTreeMap<String, String>,
    /// Who does not have the name that it is to have, because a local account has it.
    pub(super) local: Vec<String>,
    /// Who does not have it, because another entry has it.
    pub(super) twice: Vec<String>,
}

/// Gives names. `gone` are the ids and names of accounts whose entries went; `local` the names that
/// no entry gets; `longest` is how long a name may be.
pub(super) fn names(
    claims: &[Claim],
    gone: &[(String, String)],
    local: &BTreeSet<String>,
    longest: usize,
) -> Names {
    let mut wanted: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        // One whose name is none keeps what it has.
        if let Some(name) = claim.name.as_deref().or(claim.current.as_deref()) {
            wanted.entry(name).or_default().push(claim);
        }
    }
    let mut names = Names::default();
    let mut losers = Vec::new();
    for (name, mut claims) in wanted {
        claims.sort_by_key(|claim| (claim.current.as_deref() != Some(name), claim.id.as_str()));
        let mut claims = claims.into_iter();
        if local.contains(name) {
            for claim in claims {
                names.local.push(claim.id.clone());
                losers.push(claim);
            }
            continue;
        }
        if let Some(first) = claims.next() {
            names.given.insert(first.id.clone(), name.to_owned());
        }
        for claim in claims {
            names.twice.push(claim.id.clone());
            losers.push(claim);
        }
    }
    let mut taken: BTreeSet<String> = names.given.values().cloned().collect();
    let currents = claims.iter().filter_map(|claim| claim.current.clone());
    let mut avoid: BTreeSet<String> = currents.chain(gone.iter().map(|(_, name)| name.clone())).collect();
    avoid.extend(taken.iter().chain(local).cloned());
    let mut keep = |id: &str, current: &str, why: &str| match taken.contains(current) {
        false => {
            taken.insert(current.to_owned());
            current.to_owned()
        }
        true => {
            let name = other(current, why, id, longest, &avoid);
            avoid.insert(name.clone());
            name
        }
    };
    for claim in losers {
        if let Some(current) = &claim.current {
            names.given.insert(claim.id.clone(), keep(&claim.id, current, "moved"));
        }
    }
    for (id, current) in gone {
        names.aside.insert(id.clone(), keep(id, current, "gone"));
    }
    names
}

/// A name that nobody has, for an account whose name another gets.
fn other(name: &str, why: &str, id: &str, longest: usize, avoid: &BTreeSet<String>) -> String {
    let mut tried = (0u32..).map(|round| {
        let hash = blake3::hash(format!("{id} {round}").as_bytes()).to_hex();
        let tail: String = hash.chars().take(8).collect();
        let end = format!("+{why}-{tail}");
        let mut stem = name.split('+').next().unwrap_or_default();
        while stem.len() + end.len() > longest && !stem.is_empty() {
            stem = stem.char_indices().next_back().map_or("", |(at, _)| stem.get(..at).unwrap_or_default());
        }
        format!("{stem}{end}")
    });
    tried.find(|name| !avoid.contains(name)).unwrap_or_default()
}

/// In which order accounts can be renamed one by one so that a name is free before another account
/// gets it; who only swap names get others for a moment. Accounts by numbers, names before and after.
pub(super) fn in_order(
    moves: &[(usize, String, String)],
    occupied: &BTreeSet<String>,
    longest: usize,
) -> Vec<(usize, String)> {
    let holders: HashMap<&str, usize> =
        moves.iter().enumerate().map(|(at, (_, from, _))| (from.as_str(), at)).collect();
    let mut names: BTreeSet<String> = occupied.clone();
    names.extend(moves.iter().map(|(_, _, to)| to.clone()));
    let mut steps = Vec::with_capacity(moves.len());
    let mut done = BTreeSet::new();
    for (start, (first, first_name, _)) in moves.iter().enumerate() {
        // Along the chain of those that hold what the one before wants.
        let (mut chain, mut at) = (Vec::new(), start);
        while let Some((number, _, to)) = moves.get(at).filter(|_| done.insert(at)) {
            chain.push((*number, to.clone()));
            match holders.get(to.as_str()) {
                Some(next) if *next == start => {
                    let moment = other(first_name, "moved", first_name, longest, &names);
                    names.insert(moment.clone());
                    steps.push((*first, moment));
                    break;
                }
                Some(next) => at = *next,
                None => break,
            }
        }
        steps.extend(chain.into_iter().rev());
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(id: &str, name: &str, current: Option<&str>) -> Claim {
        Claim { id: id.into(), name: Some(name.into()), current: current.map(Into::into) }
    }

    #[test]
    fn whoever_has_a_name_keeps_it_and_then_the_first_gets_it() {
        let claims = [claim("1", "bob", None), claim("2", "bob", Some("bob")), claim("3", "ann", None)];
        let names = names(&claims, &[("4".into(), "ann".into())], &BTreeSet::new(), 64);
        assert_eq!(names.given, BTreeMap::from([("2".into(), "bob".into()), ("3".into(), "ann".into())]));
        assert_eq!(names.twice, ["1"]);
        assert!(names.aside["4"].starts_with("ann+gone-"), "{names:?}");
    }

    #[test]
    fn a_local_account_keeps_its_name_and_nobody_loses_an_account() {
        let claims = [claim("1", "root", None), claim("2", "root", Some("bob")), claim("3", "bob", None)];
        let names = names(&claims, &[], &BTreeSet::from(["root".into()]), 12);
        assert_eq!(names.local, ["1", "2"]);
        assert_eq!(names.given["3"], "bob");
        assert!(names.given["2"].len() <= 15 && names.given["2"].contains("+moved-"), "{names:?}");
        assert!(!names.given.contains_key("1"));
    }

    #[test]
    fn names_are_free_before_others_get_them() {
        let moves = [("a", "b"), ("b", "c"), ("x", "y"), ("y", "x"), ("m", "n")];
        let moves: Vec<_> =
            moves.iter().enumerate().map(|(at, (from, to))| (at, (*from).into(), (*to).into())).collect();
        let mut held: Vec<String> =
            moves.iter().map(|(_, from, _): &(usize, String, String)| from.clone()).collect();
        let occupied = held.iter().cloned().collect();
        for (number, name) in in_order(&moves, &occupied, 64) {
            assert!(!held.contains(&name), "{name} is taken");
            held[number] = name;
        }
        assert_eq!(held, ["b", "c", "y", "x", "n"]);
    }
}
