//! What `cardkeep ldap test` does: each step of a reading by itself, said as it goes, and a look at
//! what comes of it. Shows people's data, to whoever runs the command and nobody else.

use std::collections::BTreeMap;

use crate::domain::id::{GroupName, UserName};
use crate::service::directory::{DirectoryError, PeopleGroup, Person};

use super::connect::{Connection, Place};
use super::follow::{self, Abilities};
use super::read::{self, Gathered, What};
use super::{Address, Cover, Kind, Settings};

/// How many people are shown.
const SAMPLES: usize = 3;

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Well.
    Ok(String),
    /// Not at all: nothing goes on from there.
    Failed(String),
    /// It works, and somebody should look at it.
    Warning(String),
    /// What was found.
    Sample(String),
}

/// Goes through every step, and says each; whether all went well.
pub async fn examine(settings: Settings, say: &mut (dyn FnMut(Step) + Send)) -> bool {
    let place = match Place::new(settings) {
        Ok(place) => place,
        Err(why) => {
            say(Step::Failed(why));
            return false;
        }
    };
    match steps(&place, say).await {
        Ok(()) => true,
        Err((step, error)) => {
            say(Step::Failed(format!("{step}: {error}")));
            false
        }
    }
}

type Failed = (&'static str, DirectoryError);

async fn steps(place: &Place, say: &mut (dyn FnMut(Step) + Send)) -> Result<(), Failed> {
    let stream = place.dial().await.map_err(|error| ("connecting", error))?;
    say(Step::Ok(format!("connecting: {} answers", place.shown())));
    let stream = place.cover(stream).await.map_err(|error| ("TLS", error))?;
    say(cover(&place.settings));
    let opened = Connection::over(stream, place.settings.timeout).await;
    let mut connection = opened.map_err(|error| ("LDAP", error))?;
    place.sign_in_reader(&mut connection).await.map_err(|error| ("bind", error))?;
    say(match &place.settings.reader {
        Some(_) => Step::Ok("bind: ldap.bind_dn and ldap.bind_password are accepted".to_owned()),
        None => {
            Step::Warning("bind: none, ldap.bind_dn is not set; many directories show less then".to_owned())
        }
    });
    let abilities = follow::abilities(&mut connection).await.map_err(|error| ("what it can do", error))?;
    say(ability(&abilities, &place.settings));
    let mut gathered = Gathered::default();
    let mut counted = 0;
    for (what, step) in [(What::People, "users"), (What::Groups, "groups")] {
        let Some((scope, _)) = what.scope(&place.settings) else {
            say(Step::Warning("groups: none are read, ldap.group_base is not set".to_owned()));
            continue;
        };
        read::entries(&mut connection, what, &scope.filter, &place.settings, None, &mut gathered)
            .await
            .map_err(|error| (step, error))?;
        let found = gathered.people.len() + gathered.groups.len() - counted;
        counted += found;
        let line = format!("{step}: {found} found by {} below {}", scope.filter, scope.base);
        say(if found == 0 { Step::Warning(line) } else { Step::Ok(line) });
    }
    gathered.people.iter().take(SAMPLES).for_each(|person| say(Step::Sample(shown(person))));
    let notes = gathered.notes.in_words();
    let doubts = doubts(&gathered.people, &gathered.groups);
    notes.into_iter().chain(doubts).for_each(|doubt| say(Step::Warning(doubt)));
    Ok(())
}

fn cover(settings: &Settings) -> Step {
    match &settings.address {
        Address::Network { cover: Cover::Tls, .. } => Step::Ok("TLS: the certificate is trusted".to_owned()),
        Address::Network { cover: Cover::StartTls, .. } => {
            Step::Ok("TLS: StartTLS, and the certificate is trusted".to_owned())
        }
        Address::Network { cover: Cover::Clear, .. } => {
            Step::Warning("TLS: none, passwords cross this connection in clear".to_owned())
        }
        Address::Socket(_) => Step::Ok("TLS: none needed, the socket is on this machine".to_owned()),
    }
}

fn ability(abilities: &Abilities, settings: &Settings) -> Step {
    let pages = if abilities.pages { "in pages" } else { "all at once" };
    let changes = match (settings.kind, &abilities.usn) {
        (Kind::ActiveDirectory, Some(_)) => "by uSNChanged and a list of ids",
        _ if abilities.sync && settings.attributes.follow_entry_uuid() => {
            "by content synchronisation (RFC 4533)"
        }
        _ => "by modifyTimestamp and a list of ids",
    };
    let line = format!("what it can do: entries are read {pages}, changes {changes}");
    if settings.kind == Kind::ActiveDirectory && abilities.usn.is_none() {
        return Step::Warning(format!("{line}; it does not look like Active Directory"));
    }
    Step::Ok(line)
}

/// A person in one line, without what could steer a terminal.
fn shown(person: &Person) -> String {
    let phones: Vec<String> =
        person.phones.iter().map(|(number, kind)| format!("{number} ({kind})")).collect();
    let photo = person.photo.as_ref().map(|photo| format!("{} octets", photo.len())).unwrap_or_default();
    let enabled = if person.enabled { "" } else { "no" };
    let fields = [
        ("name", person.name.as_str()),
        ("enabled", enabled),
        ("display_name", &person.display_name),
        ("given", &person.given),
        ("family", &person.family),
        ("email", &person.emails.join(", ")),
        ("phone", &phones.join(", ")),
        ("title", &person.title),
        ("organization", &person.organization),
        ("department", &person.department),
        ("manager", person.manager.as_deref().unwrap_or_default()),
        ("photo", &photo),
    ];
    let filled = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let text: Vec<String> = filled.map(|(name, value)| format!("{name}={value}")).collect();
    text.join("; ").replace(char::is_control, "\u{fffd}")
}

/// What would make somebody wonder after a sync.
fn doubts(people: &[Person], groups: &[PeopleGroup]) -> Vec<String> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut mails: BTreeMap<String, usize> = BTreeMap::new();
    let (mut unsafe_names, mut without_mail, mut disabled) = (0, 0, 0);
    for person in people {
        match UserName::parse(&person.name) {
            Ok(name) => *names.entry(name.as_str().to_owned()).or_default() += 1,
            Err(_) => unsafe_names += 1,
        }
        person.emails.iter().for_each(|mail| *mails.entry(mail.to_lowercase()).or_default() += 1);
        without_mail += usize::from(person.emails.is_empty());
        disabled += usize::from(!person.enabled);
    }
    let unsafe_groups = groups.iter().filter(|group| GroupName::parse(&group.name).is_err()).count();
    let empty = groups.iter().filter(|group| group.members.is_empty()).count();
    let double = |seen: &BTreeMap<String, usize>| seen.values().filter(|count| **count > 1).count();
    [
        (without_mail, "users have no e-mail address"),
        (double(&names), "user names belong to more than one user"),
        (double(&mails), "e-mail addresses belong to more than one user"),
        (unsafe_names, "users have a name that cannot be a user name here (a-z, 0-9 and ._@+- only)"),
        (disabled, "users are switched off there"),
        (unsafe_groups, "groups have a name that cannot be a group's here"),
        (empty, "groups have no members"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, mail: &[&str]) -> Person {
        let emails = mail.iter().map(|mail| (*mail).to_owned()).collect();
        Person { name: name.to_owned(), emails, enabled: true, ..Person::default() }
    }

    #[test]
    fn doubts_are_counted() {
        let people = [
            person("alice", &["a@example.org"]),
            person("ALICE", &["A@example.org"]),
            person("a b", &[]),
            Person { enabled: false, ..person("bob", &["b@example.org"]) },
        ];
        let found = doubts(&people, &[]);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.iter().all(|line| line.starts_with("1 ")), "{found:?}");
        assert!(doubts(&people[..1], &[]).is_empty());
    }

    #[test]
    fn nothing_shown_steers_a_terminal() {
        let text = shown(&person("a\u{1b}[2J", &["x\ny"]));
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
