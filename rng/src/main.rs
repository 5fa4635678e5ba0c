//! The program `rng`.

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

fn main() {
    chassis::run(|settings: &Settings| settings.service.threads(), run)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut chassis = Chassis::start_traced("rng", &settings.service)?;
    let metrics = rng::Metrics::register(&mut chassis.registry);
    let stop = chassis.shutdown.stop.clone();
    let router = rng::router(&settings.rng, chassis::hostname(), metrics, stop);
    chassis.serve(&settings.address, router).await
}
