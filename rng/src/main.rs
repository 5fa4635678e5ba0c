//! The rng service.

use chassis::Limits;
use clap::Parser;

const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    let mut registry = chassis::registry("rng", VERSION);
    let metrics = rng::Metrics::register(&mut registry);
    let Some(shutdown) = chassis::start(&settings.service, VERSION, registry)? else {
        return Ok(());
    };
    let listener = chassis::listen("LISTEN", settings.address.listen)?;
    let router = rng::router(&settings.rng, metrics, shutdown.stop.clone());
    chassis::serve(listener, router, Limits::default(), shutdown).await;
    Ok(())
}
