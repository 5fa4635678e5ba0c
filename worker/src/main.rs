//! The program `worker`.

use std::{num::NonZero, sync::Arc};

use anyhow::Result;
use chassis::Chassis;
use clap::Parser;
use store::{RedisUrl, Store};
use worker::{Client, Metrics, Stats, Worker};

/// Mines DockerCoins with rng and hasher, and stores them in redis.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    worker: worker::Settings,
    /// URL of redis; rediss:// uses TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten, next_help_heading = "Every service")]
    service: chassis::Service,
}

fn main() {
    // A single loop has no use for a second thread, which would only cost time to wake.
    let threads = |settings: &Settings| {
        let single = Some(NonZero::<u16>::MIN).filter(|one| settings.worker.concurrency == *one);
        settings.service.threads().or(single)
    };
    chassis::run(threads, run)
}

async fn run(settings: Settings) -> Result<()> {
    let mut chassis = Chassis::start_traced("worker", &settings.service)?;
    let metrics = Metrics::register(&mut chassis.registry);
    let store = Store::redis(&settings.redis_url)?;
    store.register(&mut chassis.registry);
    let client = Client::new(&settings.worker, Arc::new(|_| None), &metrics)?;
    let version = settings.service.shared.dockercoins_version;
    let stats = Stats::new(chassis::hostname(), version, metrics);
    let worker = Worker::new(settings.worker, client, store, stats)?;
    let shutdown = chassis.serve_admin();
    shutdown.set_ready();
    worker.run(shutdown.stop, shutdown.timeout).await;
    Ok(())
}
