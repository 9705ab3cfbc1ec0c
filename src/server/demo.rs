//! `serve --demo`: fills an empty data directory, once, with a user and plausible contacts. All
//! names are invented; addresses and numbers are of the ranges set aside for examples.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use crate::domain::id::MemberName;
use crate::service::Service;
use crate::service::access::Caller;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::refusal::{Refusal, Stop};
use crate::service::sign_in::Credentials;
use crate::service::view::{Property, PropertyName, PropertyValue};

/// What a person is told.
pub const HOW_TO_CONNECT: &str = "To connect a phone or a program, add a CardDAV account there: this URL as the server, user name demo, password demo.\n";

/// The demo's user name and password.
const DEMO: &str = "demo";
/// The book beside the user's own.
const TEAM: &str = "team";

/// Fills the data directory, unless that was done before; refuses where it holds anything else.
pub async fn fill(service: &Service) -> Result<(), String> {
    let AdminAnswer::Users(users) = service.admin(AdminRequest::UserList).await else {
        return Err("the accounts cannot be listed".to_owned());
    };
    match users.as_slice() {
        [] => {}
        [only] if only.name == DEMO => return Ok(()),
        _ => {
            return Err("the data directory holds accounts already, and a demo does not mix with them; choose an empty --data".to_owned());
        }
    }
    let add = AdminRequest::UserAdd {
        name: DEMO.to_owned(),
        email: Some("demo@example.org".to_owned()),
        display_name: Some("Demo".to_owned()),
        admin: false,
        password: Some(DEMO.to_owned()),
    };
    if let AdminAnswer::Refused(why) = service.admin(add).await {
        return Err(why);
    }
    let credentials = Credentials {
        user: DEMO.to_owned(),
        password: DEMO.to_owned(),
    };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(caller) = service.sign_in(credentials, here).await else {
        return Err("the demo's user cannot sign in".to_owned());
    };
    books(service, &caller).await.map_err(|stop| match stop {
        Stop::Refused(refusal) => refusal.to_string(),
        Stop::Failed(fault) => fault.to_string(),
    })
}

async fn books(service: &Service, caller: &Caller) -> Result<(), Stop> {
    let team = name(TEAM)?;
    let title = Property {
        name: PropertyName {
            namespace: "DAV:".to_owned(),
            local: "displayname".to_owned(),
        },
        value: PropertyValue::Text {
            text: "Team".to_owned(),
            lang: None,
        },
    };
    let owner = &caller.name;
    service
        .create_book(caller, owner, &team, vec![title], Vec::new())
        .await?;
    for (book, people) in [("contacts", PEOPLE), (TEAM, COLLEAGUES)] {
        let book = name(book)?;
        for (number, person) in people.iter().enumerate() {
            let uid = format!("demo-{}-{}", book.as_str(), number + 1);
            let card = Bytes::from(card(&uid, number, person));
            let place = name(&format!("{uid}.vcf"))?;
            service
                .put(caller, (owner, &book, &place), card, Vec::new())
                .await?;
        }
    }
    Ok(())
}

fn name(text: &str) -> Result<MemberName, Stop> {
    MemberName::parse(text).map_err(|bad| Refusal::Conflict(bad.to_string()).into())
}

/// Given name, family name, company, title.
type Person = (&'static str, &'static str, &'static str, &'static str);

fn card(uid: &str, number: usize, person: &Person) -> String {
    let (given, family, company, title) = person;
    let mail = format!("{given}.{family}@example.org").to_lowercase();
    let mail: String = mail.chars().filter(char::is_ascii).collect();
    let mut lines = vec![
        "BEGIN:VCARD".to_owned(),
        "VERSION:3.0".to_owned(),
        "PRODID:-//Cardkeep//Demo//EN".to_owned(),
        format!("UID:{uid}"),
        format!("FN:{given} {family}"),
        format!("N:{family};{given};;;"),
        format!("EMAIL;TYPE=INTERNET,WORK:{mail}"),
        format!("TEL;TYPE=CELL:+1 202-555-01{number:02}"),
    ];
    if !company.is_empty() {
        lines.push(format!("ORG:{company}"));
        lines.push(format!("TITLE:{title}"));
    }
    if number.is_multiple_of(3) {
        lines.push(format!(
            "BDAY:19{:02}-{:02}-{:02}",
            60 + number,
            1 + number % 12,
            1 + number % 28
        ));
    }
    if number.is_multiple_of(4) {
        lines.push(format!(
            "ADR;TYPE=HOME:;;{} Example Street;Springfield;;12345;",
            number + 1
        ));
    }
    lines.push("END:VCARD".to_owned());
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

const PEOPLE: &[Person] = &[
    ("Ada", "Winter", "Nordlicht Optik", "Lens designer"),
    ("Bruno", "Kessler", "", ""),
    ("Carla", "Monti", "Monti e Figli", "Owner"),
    ("Dara", "O'Shea", "", ""),
    ("Emil", "Sørensen", "Fjord Data", "Engineer"),
    ("Fatima", "Haddad", "Haddad Law", "Lawyer"),
    ("Goran", "Petrović", "", ""),
    ("Hanna", "Lindqvist", "Björk Bokhandel", "Bookseller"),
    ("Igor", "Novák", "", ""),
    ("Julia", "Schäfer", "Praxis Schäfer", "Physician"),
    ("Kenji", "Morita", "Morita Teahouse", "Owner"),
    ("Lena", "Brandt", "", ""),
    ("Marek", "Zieliński", "Zieliński Stolarka", "Carpenter"),
    ("Nora", "Ferreira", "", ""),
    ("Oskar", "Holm", "Holm Cycles", "Mechanic"),
    ("Priya", "Raman", "Raman Studio", "Architect"),
    ("Quentin", "Dubois", "", ""),
    ("Rosa", "Ibáñez", "Panadería Ibáñez", "Baker"),
    ("Stefan", "Maier", "Gasthof Maier", "Innkeeper"),
    ("Tomoko", "Arai", "", ""),
    ("Ulla", "Virtanen", "Virtanen Saunas", "Sales"),
    ("Viktor", "Balogh", "", ""),
    ("Wanda", "Kowal", "Kowal Piano", "Tuner"),
    ("Yusuf", "Demir", "Demir Transport", "Dispatcher"),
];

const COLLEAGUES: &[Person] = &[
    ("Alex", "Berger", "Example GmbH", "Managing director"),
    ("Birgit", "Thoma", "Example GmbH", "Accounting"),
    ("Chen", "Wei", "Example GmbH", "Developer"),
    ("Doris", "Falk", "Example GmbH", "Support"),
    ("Erik", "Janssen", "Example GmbH", "Sales"),
    ("Franka", "Beck", "Example GmbH", "Human resources"),
    ("Georg", "Lutz", "Example GmbH", "Purchasing"),
    ("Helen", "Price", "Example GmbH", "Data protection officer"),
    ("Ivana", "Kos", "Example GmbH", "Marketing"),
    ("Jens", "Richter", "Example GmbH", "Warehouse"),
    ("Karin", "Vogel", "Example GmbH", "Assistant"),
    ("Luis", "Ortega", "Example GmbH", "Developer"),
];
