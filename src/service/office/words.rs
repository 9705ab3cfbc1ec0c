//! The words that a record may hold: roles, service levels and the admin's own fields.

use crate::domain::contact::{Custom, Kind, Record};
use crate::domain::id::CollectionId;
use crate::service::{Answer, Service};

use super::change::{has_service_level, is_key};
use super::draft::Given;

impl Service {
    /// Notes roles and a service level that there are not; what was there before may stay.
    pub(super) async fn check_words(
        &self,
        roles: &[String],
        service_level: &str,
        before: Option<&Record>,
        kind: Kind,
        wrong: &mut Vec<(String, String)>,
    ) -> Answer<()> {
        for (at, role) in roles.iter().enumerate() {
            if !is_key(role) && !before.is_some_and(|before| before.roles.contains(role)) {
                wrong.push((format!("/roles/{at}"), "there is no such role".into()));
            }
        }
        let same = before.is_some_and(|before| before.service_level == service_level);
        if !service_level.is_empty() && !same && !has_service_level(kind) {
            wrong.push(("/service_level".into(), "only companies have a service level".into()));
        }
        Ok(())
    }

    /// The admin's own fields, as they are to be kept.
    pub(super) async fn custom_of(
        &self,
        _of: (CollectionId, Kind),
        _given: &[(String, Given)],
        before: Option<&Record>,
        _wrong: &mut Vec<(String, String)>,
    ) -> Answer<Vec<Custom>> {
        Ok(before.map(|before| before.custom.clone()).unwrap_or_default())
    }
}
