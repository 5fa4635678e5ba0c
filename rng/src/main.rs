//! The program `rng`.

use chassis::{Chassis, Faults};
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
    #[command(flatten)]
    faults: chassis::FaultSettings,
}

fn main() {
    chassis::run(|settings: &Settings| settings.service.threads(), run)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut chassis = Chassis::start_traced("rng", &settings.service)?;
    chassis.faults = Faults::new(&settings.faults);
    let metrics = rng::Metrics::register(&mut chassis.registry);
    let stop = chassis.shutdown.stop.clone();
    let router = rng::router(&settings.rng, chassis::hostname(), metrics, stop);
    chassis.serve(&settings.address, router).await
}
