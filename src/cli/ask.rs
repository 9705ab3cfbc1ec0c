//! Has a command done: by the server that runs on the data directory, or, when none does, on the
//! data directory itself.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::Config;
use crate::server::boot::{BootError, Opened};
use crate::server::control;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::store::keyslots::MasterKey;

/// How often a data directory is tried that another command holds, or a server that just starts or
/// stops.
const TRIES: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(100);

/// Has it done; what is refused is an error.
pub async fn ask(config: &Config, request: AdminRequest) -> anyhow::Result<AdminAnswer> {
    match reach(config, request).await? {
        AdminAnswer::Refused(why) => bail!("{why}"),
        answer => Ok(answer),
    }
}

/// The master key that a command brings, which an interrupted rotation to it needs.
fn next_master(request: &AdminRequest) -> Option<MasterKey> {
    match request {
        AdminRequest::KeyRotate { key } => key.map(MasterKey::new),
        _ => None,
    }
}

async fn reach(config: &Config, request: AdminRequest) -> anyhow::Result<AdminAnswer> {
    let data = &config.server.data;
    for _ in 0..TRIES {
        let running = control::find(data)
            .await
            .with_context(|| format!("the server on {} cannot be reached", data.display()))?;
        if let Some(server) = running {
            return server.ask(&request).await.context(
                "the server went away before it answered; it may have done it, so look before you ask again",
            );
        }
        match Opened::open_also_with(config, next_master(&request)).await {
            Ok(opened) => {
                let answer = opened.service.admin(request).await;
                opened.close().await?;
                return Ok(answer);
            }
            Err(BootError::InUse(_)) => tokio::time::sleep(BETWEEN).await,
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "the data directory {} is in use by a process that does not answer; stop it and try again",
        data.display()
    )
}
