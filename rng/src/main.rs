//! The rng service.

use chassis::Chassis;
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
    let mut chassis = Chassis::start_traced("rng", &settings.service)?;
    let metrics = rng::Metrics::register(&mut chassis.registry);
    let listener = chassis::listen("LISTEN", settings.address.listen)?;
    let stop = chassis.shutdown.stop.clone();
    let router = rng::router(&settings.rng, chassis::hostname(), metrics, stop);
    chassis.serve(listener, router).await;
    Ok(())
}
