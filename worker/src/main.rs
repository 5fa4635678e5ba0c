//! The worker.

use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use store::{RedisUrl, Store};
use worker::{Http, Worker};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Mines DockerCoins with the help of rng and hasher, and keeps them in redis.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    worker: worker::Settings,
    /// Where redis is; rediss:// is TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten)]
    service: chassis::Service,
}

#[tokio::main]
async fn main() {
    chassis::exit(run().await)
}

async fn run() -> Result<()> {
    let settings: Settings = chassis::load()?;
    let registry = chassis::registry("worker", VERSION);
    let Some(shutdown) = chassis::start(&settings.service, VERSION, registry)? else {
        return Ok(());
    };
    let store = Store::redis(&settings.redis_url)?;
    let peers = Http::new(&settings.worker, Arc::new(|_| None))?;
    let worker = Worker::new(settings.worker, peers, store);
    shutdown.set_ready();
    worker.run(shutdown.stop, shutdown.timeout).await;
    Ok(())
}
