//! The worker.

use std::sync::Arc;

use anyhow::Result;
use chassis::Chassis;
use clap::Parser;
use store::{RedisUrl, Store};
use worker::{Http, Insight, Metrics, Worker, load};

/// Mines DockerCoins with the help of rng and hasher, and keeps them in redis.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    worker: worker::Settings,
    #[command(flatten, next_help_heading = "Load generator")]
    load: load::Settings,
    /// Where redis is; rediss:// is TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten)]
    service: chassis::Service,
}

fn main() {
    chassis::run(run)
}

async fn run(mut settings: Settings) -> Result<()> {
    let is_load = settings.load.is_asked()?;
    settings.service.shared.log_to_stderr = is_load;
    let other = match &settings.load.compare {
        Some(flags) => Some(chassis::load_with::<Settings>(flags.split_whitespace())?),
        None => None,
    };
    let mut chassis = Chassis::start_traced("worker", &settings.service)?;
    let metrics = Metrics::register(&mut chassis.registry);
    let version = settings.service.shared.dockercoins_version.clone();
    let insight = || Insight::new(chassis::hostname(), version.clone(), metrics.clone());
    let worker = |settings: &Settings, store: Store, insight: Insight| {
        let peers = Http::new(&settings.worker, Arc::new(|_| None))?;
        Worker::new(settings.worker.clone(), peers, store, insight)
    };
    let store = Store::redis(&settings.redis_url)?;
    store.register(&mut chassis.registry);
    let shutdown = chassis.serve_admin();
    shutdown.set_ready();
    if is_load {
        let sides: Vec<_> = [&settings].into_iter().chain(&other).collect();
        let build = |side: &&Settings, watch| {
            worker(side, Store::redis(&side.redis_url)?, insight().watched(watch))
        };
        load::run(&settings.load, &sides, build, &shutdown).await
    } else {
        let worker = worker(&settings, store, insight())?;
        worker.run(shutdown.stop, shutdown.timeout).await;
        Ok(())
    }
}
