//! The rng service.

use chassis::Limits;
use clap::Parser;

/// Random bytes over HTTP, one request at a time.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    rng: rng::Settings,
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
    let Some(shutdown) = chassis::start(&settings.service, env!("CARGO_PKG_VERSION"))? else {
        return Ok(());
    };
    let listener = chassis::listen("LISTEN", settings.address.listen)?;
    let router = rng::router(&settings.rng, shutdown.stop.clone());
    chassis::serve(listener, router, Limits::default(), shutdown).await;
    Ok(())
}
