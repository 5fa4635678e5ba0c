//! The program `hasher`.

use chassis::{Chassis, Faults};
use clap::Parser;

/// SHA-256 over HTTP, in hex.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    hasher: hasher::Settings,
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
    let mut chassis = Chassis::start_traced("hasher", &settings.service)?;
    chassis.faults = Faults::new(&settings.faults);
    let router = hasher::router(&settings.hasher, chassis.shutdown.stop.clone());
    chassis.serve(&settings.address, router).await
}
