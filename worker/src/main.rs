//! The worker.

use std::sync::Arc;

use anyhow::Result;
use chassis::Chassis;
use clap::Parser;
use store::{RedisUrl, Store};
use worker::{Http, Insight, Metrics, Worker};

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
    let mut chassis = Chassis::start_traced("worker", &settings.service)?;
    let store = Store::redis(&settings.redis_url)?;
    store.register(&mut chassis.registry);
    let metrics = Metrics::register(&mut chassis.registry);
    let version = settings.service.shared.dockercoins_version;
    let insight = Insight::new(chassis::hostname(), version, metrics);
    let peers = Http::new(&settings.worker, Arc::new(|_| None))?;
    let worker = Worker::new(settings.worker, peers, store, insight);
    let shutdown = chassis.serve_admin();
    shutdown.set_ready();
    worker.run(shutdown.stop, shutdown.timeout).await;
    Ok(())
}
