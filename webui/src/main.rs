//! The webui service.

use anyhow::Result;
use chassis::Limits;
use clap::Parser;
use store::{RedisUrl, Store};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The dashboard of DockerCoins.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    webui: webui::Settings,
    /// Where redis is; rediss:// is TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten)]
    address: chassis::Listen,
    #[command(flatten)]
    service: chassis::Service,
}

#[tokio::main]
async fn main() {
    chassis::exit(run().await)
}

async fn run() -> Result<()> {
    let settings: Settings = chassis::load()?;
    let registry = chassis::registry("webui", VERSION);
    let Some(shutdown) = chassis::start(&settings.service, VERSION, registry)? else {
        return Ok(());
    };
    let listener = chassis::listen("LISTEN", settings.address.listen)?;
    let store = Store::redis(&settings.redis_url)?;
    let router = webui::router(&settings.webui, store, shutdown.stop.clone())?;
    chassis::serve(listener, router, Limits::default(), shutdown).await;
    Ok(())
}
