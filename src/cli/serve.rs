//! `cardkeep serve`.

use std::net::SocketAddr;

use clap::Args;

use crate::config::{self, Config};
use crate::server::boot;

/// Run the server in the foreground
#[derive(Args)]
pub struct Serve {
    /// The address to listen on
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Fill an empty data directory with the user demo, password demo, and plausible contacts
    #[arg(long)]
    demo: bool,
}

impl Serve {
    /// Serves until it is told to stop.
    pub async fn run(self, mut config: Config) -> anyhow::Result<()> {
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        Ok(boot::serve(config, self.demo).await?)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    config::address(text)
}
