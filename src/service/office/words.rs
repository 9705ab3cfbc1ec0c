//! The words that a record may hold: roles, service levels and the admin's own fields.

use crate::domain::contact::{Custom, Kind, Record};
use crate::domain::id::CollectionId;
use crate::service::definitions::Value;
use crate::service::{Answer, Service};

use super::change::has_service_level;

/// What is wrong with a request: a JSON pointer, and why.
pub(super) type Wrong = (String, String);

impl Service {
    /// Notes roles and a service level that there are not; what was there before may stay.
    pub(super) async fn check_words(
        &self,
        roles: &[String],
        service_level: &str,
        before: Option<&Record>,
        kind: Kind,
        wrong: &mut Vec<Wrong>,
    ) -> Answer<()> {
        let laid = self.laid_down().await?;
        for (at, role) in roles.iter().enumerate() {
            if !laid.has_role(role) && !before.is_some_and(|before| before.roles.contains(role)) {
                wrong.push((format!("/roles/{at}"), "there is no such role".into()));
            }
        }
        if service_level.is_empty() || before.is_some_and(|before| before.service_level == service_level) {
            return Ok(());
        }
        if !has_service_level(kind) {
            wrong.push(("/service_level".into(), "only companies have a service level".into()));
        } else if !laid.has_service_level(service_level) {
            wrong.push(("/service_level".into(), "there is no such service level".into()));
        }
        Ok(())
    }

    /// The admin's own fields, as they are to be kept.
    pub(super) async fn custom_of(
        &self,
        (book, kind): (CollectionId, Kind),
        given: &[(String, Value)],
        before: Option<&Record>,
        wrong: &mut Vec<Wrong>,
    ) -> Answer<Vec<Custom>> {
        let known = before.map(|before| before.custom.as_slice()).unwrap_or_default();
        let same = before.is_some() && given.len() == known.len() && {
            let kept = |custom: &Custom| {
                given.iter().any(|(key, value)| *key == custom.key && *value == Value::from(&custom.value))
            };
            known.iter().all(kept)
        };
        // What nobody touches is not demanded either.
        if same {
            return Ok(known.to_vec());
        }
        match self.laid_down().await?.check_custom(kind, book, known, given) {
            Ok(custom) => Ok(custom),
            Err(why) => {
                wrong.extend(why);
                Ok(Vec::new())
            }
        }
    }
}
