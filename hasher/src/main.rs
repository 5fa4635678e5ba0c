//! The hasher service.

use chassis::Limits;
use clap::Parser;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The SHA-256 of what is posted, in hex.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    hasher: hasher::Settings,
    #[command(flatten)]
    address: chassis::Listen,
    #[command(flatten)]
    service: chassis::Service,
}

#[tokio::main]
async fn main() {
    chassis::exit(run().await)
}

async fn run() -> anyhow::Result<()> {
    let settings: Settings = chassis::load()?;
    let registry = chassis::registry("hasher", VERSION);
    let Some(shutdown) = chassis::start(&settings.service, VERSION, registry)? else {
        return Ok(());
    };
    let listener = chassis::listen("LISTEN", settings.address.listen)?;
    let router = hasher::router(&settings.hasher, shutdown.stop.clone());
    chassis::serve(listener, router, Limits::default(), shutdown).await;
    Ok(())
}
