//! Puts the demo's data into an empty store, once. A mark says that the store is a demo's, so that
//! made-up people never mix with real ones; a fill that was cut off is taken up again.

use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::TimeZone;

use crate::domain::ical::{Components, Kind};
use crate::domain::id::{HomeName, MemberName, UserName};
use crate::service::access::Caller;
use crate::service::admin::Profile;
use crate::service::provision::DEFAULT_BOOK;
use crate::service::refusal::{Fault, Refusal, Stop};
use crate::service::sign_in::Credentials;
use crate::service::view::{Property, PropertyName, PropertyValue};
use crate::service::{Answer, Service};

use super::calendar::{JOURNAL, entries};
use super::{DemoBook, cards};

/// The mark on a demo's store, and what it says while and after it is filled.
const MARK: &str = "demo";
const FILLING: &str = "filling";
const FILLED: &str = "filled";

/// The demo's user name and password.
const DEMO: &str = "demo";
/// The book beside the user's own.
const TEAM: &str = "team";

impl Service {
    /// Makes the user `demo` with its books and cards, unless that was done before; refuses where
    /// the store holds anything else.
    pub async fn fill_demo(&self) -> Answer<()> {
        let reader = self.store.read().await?;
        match reader.mark(MARK).await?.as_deref() {
            Some(FILLED) => return Ok(()),
            Some(_) => {}
            None if reader.accounts().await?.is_empty() => self.store.mark(MARK, FILLING).await?,
            None => {
                let text = "the data directory holds accounts already, and a demo does not mix with them; \
                            choose an empty --data";
                return Err(Refusal::Conflict(text.into()).into());
            }
        }
        drop(reader);
        let caller = self.demo_user().await?;
        self.demo_cards(&caller).await?;
        self.demo_entries(&caller).await?;
        Ok(self.store.mark(MARK, FILLED).await?)
    }

    async fn demo_user(&self) -> Answer<Caller> {
        let name = UserName::parse(DEMO).map_err(|_| Fault("the demo's user name".into()))?;
        let profile = Profile {
            email: Some("demo@example.org".into()),
            display_name: Some("Demo".into()),
            admin: false,
        };
        if self.store.read().await?.account(&name).await?.is_none() {
            self.add_user(&name, profile, Some(DEMO.into())).await?;
        }
        let credentials = Credentials { user: DEMO.into(), password: DEMO.into() };
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.sign_in(credentials, here)
            .await
            .map_err(|_| Fault("the demo's user cannot sign in".into()).into())
    }

    async fn demo_cards(&self, caller: &Caller) -> Answer<()> {
        let home = HomeName::books(caller.name.clone());
        let title = Property {
            name: PropertyName { namespace: "DAV:".into(), local: "displayname".into() },
            value: PropertyValue::Text { text: "Team".into(), lang: None },
        };
        match self.create_book(caller, &home, &name(TEAM)?, vec![title], Vec::new()).await {
            Ok(()) | Err(Stop::Refused(Refusal::Mapped)) => {}
            Err(stop) => return Err(stop),
        }
        for card in cards() {
            let book = match card.book {
                DemoBook::Personal => name(DEFAULT_BOOK)?,
                DemoBook::Shared => name(TEAM)?,
            };
            let place = (&home, &book, &name(card.name)?);
            self.put(caller, place, card.card.into(), Vec::new()).await?;
        }
        Ok(())
    }

    async fn demo_entries(&self, caller: &Caller) -> Answer<()> {
        let home = HomeName::calendars(caller.name.clone());
        let takes = Components::of(&[Kind::Journal]);
        match self.create_collection(caller, (&home, &name(JOURNAL)?), takes, Vec::new(), Vec::new()).await {
            Ok(()) | Err(Stop::Refused(Refusal::Mapped)) => {}
            Err(stop) => return Err(stop),
        }
        let today = self.clock.now().to_zoned(TimeZone::UTC).date();
        for entry in entries(today) {
            let (calendar, file) = (name(entry.calendar)?, name(entry.name)?);
            self.put(caller, (&home, &calendar, &file), entry.octets.into(), Vec::new()).await?;
        }
        Ok(())
    }
}

fn name(text: &str) -> Result<MemberName, Fault> {
    MemberName::parse(text).map_err(|_| Fault("a name of the demo".into()))
}
