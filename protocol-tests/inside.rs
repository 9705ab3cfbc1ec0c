//! The service in-process, over an engine and key slots that a test brings: what `power.rs` and
//! `damage.rs` ask has no socket in between. Clock and randomness repeat with the opening's number.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use cardkeep::domain::id::MemberName;
use cardkeep::service::access::Caller;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::sign_in::{Argon2Cost, Credentials, NotSignedIn};
use cardkeep::service::{KeyFile, Service, Settings};
use cardkeep::store::engine::EngineError;
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::{MasterKey, Medium};

use crate::chance::{Counting, Ticking};

/// Opens the store; the number of the opening tells one from another.
pub async fn open(
    engine: Result<RedbEngine, EngineError>,
    keys: impl Medium + 'static,
    opening: u64,
) -> Result<Service, String> {
    let engine = engine.map_err(|error| error.to_string())?;
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000 + (opening << 20) as i64)));
    let entropy = Arc::new(Counting(AtomicU64::new(opening << 32)));
    let settings = Settings { argon2: Argon2Cost { memory_kib: 8, passes: 1 }, ..Settings::default() };
    let keys = KeyFile::new(keys, vec![MasterKey::new([7; 32])]);
    let service = Service::open(Arc::new(engine), keys, clock, entropy, settings).await;
    service.map_err(|fault| fault.to_string())
}

/// Makes the one account, and signs in.
pub async fn alice(service: &Service) -> Caller {
    let add = AdminRequest::UserAdd {
        name: "alice".into(),
        email: None,
        display_name: None,
        admin: false,
        password: Some("secret".into()),
    };
    assert!(matches!(service.admin(add).await, AdminAnswer::Done));
    sign_in(service).await.unwrap()
}

/// Signs in to the one account.
pub async fn sign_in(service: &Service) -> Result<Caller, NotSignedIn> {
    let credentials = Credentials { user: "alice".into(), password: "secret".into() };
    service.sign_in(credentials, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
}

/// The name of a member.
pub fn name(text: &str) -> MemberName {
    MemberName::parse(text).unwrap()
}
