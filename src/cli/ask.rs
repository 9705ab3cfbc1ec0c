//! Has a command done: by the server that runs on the data directory, or, when none does, on the
//! data directory itself.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::Config;
use crate::server::boot::{BootError, Opened};
use crate::server::control::{self, Running};
use crate::server::handout::{self, Handout, Sink, Taken};
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
    match find(config, next_master(&request)).await? {
        Found::Server(server) => server.ask(&request).await.context(
            "the server went away before it answered; it may have done it, so look before you ask again",
        ),
        Found::Own(opened) => {
            let answer = opened.service.admin(request).await;
            opened.close().await?;
            Ok(answer)
        }
    }
}

/// Who does it.
enum Found {
    /// A server that runs on the data directory.
    Server(Running),
    /// This process.
    Own(Opened),
}

/// Finds a server, or else opens the data directory.
async fn find(config: &Config, next: Option<MasterKey>) -> anyhow::Result<Found> {
    let data = &config.server.data;
    for _ in 0..TRIES {
        if let Some(server) = server_on(config).await? {
            return Ok(Found::Server(server));
        }
        match Opened::open_also_with(config, next.clone()).await {
            Ok(opened) => return Ok(Found::Own(opened)),
            Err(BootError::InUse(_)) => tokio::time::sleep(BETWEEN).await,
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "the data directory {} is in use by a process that does not answer; stop it and try again",
        data.display()
    )
}

async fn server_on(config: &Config) -> anyhow::Result<Option<Running>> {
    let data = &config.server.data;
    let running = control::find(data).await;
    running.with_context(|| format!("the server on {} cannot be reached", data.display()))
}

/// Where archives and keyrings are taken from.
pub struct Source<'a> {
    config: &'a Config,
    own: Option<Opened>,
}

impl<'a> Source<'a> {
    /// Finds it.
    pub async fn find(config: &'a Config) -> anyhow::Result<Self> {
        let own = match find(config, None).await? {
            Found::Server(_) => None,
            Found::Own(opened) => Some(opened),
        };
        Ok(Self { config, own })
    }

    /// Takes something.
    pub async fn take(&self, what: Handout, sink: Sink<'_>) -> anyhow::Result<Taken> {
        let taken = match &self.own {
            Some(opened) => handout::from_service(&opened.service, what, sink).await,
            None => {
                let gone = "the server stopped meanwhile; try again";
                server_on(self.config).await?.context(gone)?.take(what, sink).await?
            }
        };
        taken.map_err(|fault| anyhow::anyhow!("{fault}"))
    }

    /// Lets go of it.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.own {
            Some(opened) => Ok(opened.close().await?),
            None => Ok(()),
        }
    }
}
