//! The program `webui`.

use anyhow::Result;
use chassis::Chassis;
use clap::Parser;
use store::{RedisUrl, Store};

/// The dashboard of DockerCoins.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    webui: webui::Settings,
    /// URL of Redis; rediss:// uses TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten)]
    address: chassis::Listen,
    #[command(flatten)]
    service: chassis::Service,
}

fn main() {
    chassis::run(|settings: &Settings| settings.service.threads(), run)
}

async fn run(settings: Settings) -> Result<()> {
    let mut chassis = Chassis::start("webui", &settings.service)?;
    let store = Store::redis(&settings.redis_url)?;
    store.register(&mut chassis.registry);
    let metrics = webui::Metrics::register(&mut chassis.registry);
    let router = webui::router(&settings.webui, store, metrics, chassis.shutdown.stop.clone())?;
    chassis.serve(&settings.address, router).await
}
