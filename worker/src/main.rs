//! The worker.

use std::{num::NonZero, sync::Arc};

use anyhow::Result;
use chassis::{Chassis, SettingError};
use clap::Parser;
use store::{RedisUrl, Store};
use worker::{Http, Insight, Metrics, Worker, load};

/// Mines DockerCoins with the help of rng and hasher, and keeps them in redis.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    side: Side,
    #[command(flatten, next_help_heading = "Load generator")]
    load: load::Settings,
    #[command(flatten, next_help_heading = "Every service")]
    service: chassis::Service,
}

/// What can be different on the other side of a comparison.
#[derive(Parser)]
struct Side {
    #[command(flatten)]
    worker: worker::Settings,
    /// Where redis is; rediss:// is TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    redis_url: RedisUrl,
    #[command(flatten, next_help_heading = "Load generator")]
    pace: load::Pace,
}

impl Settings {
    /// The other side of a comparison, if there is one.
    fn other_side(&self) -> Result<Option<Side>, SettingError> {
        self.load.compare.as_deref().map(side_of).transpose()
    }
}

fn main() {
    chassis::run(threads, run)
}

/// One loop has no use for a second thread, which would only be woken.
fn threads(settings: &Settings) -> Option<NonZero<u16>> {
    let one = NonZero::<u16>::MIN;
    let other = settings.other_side().ok().flatten();
    let mut sides = [&settings.side].into_iter().chain(&other);
    let is_one_loop = sides.all(|side| side.worker.concurrency == one);
    settings.service.shared.threads.or(is_one_loop.then_some(one))
}

async fn run(mut settings: Settings) -> Result<()> {
    let is_load = settings.load.is_asked(&settings.side.pace)?;
    settings.service.shared.log_to_stderr = is_load;
    let other = settings.other_side()?;
    let mut chassis = Chassis::start_traced("worker", &settings.service)?;
    let metrics = Metrics::register(&mut chassis.registry);
    let version = settings.service.shared.dockercoins_version.clone();
    let insight = || Insight::new(chassis::hostname(), version.clone(), metrics.clone());
    let worker = |side: &Side, store: Store, insight: Insight| {
        let peers = Http::new(&side.worker, Arc::new(|_| None))?;
        Worker::new(side.worker.clone(), peers, store, insight)
    };
    let store = Store::redis(&settings.side.redis_url)?;
    store.register(&mut chassis.registry);
    let shutdown = chassis.serve_admin();
    shutdown.set_ready();
    if is_load {
        let sides = [&settings.side].into_iter().chain(&other);
        let sides: Vec<_> = sides.map(|side| (&side.pace, side)).collect();
        let build = |side: &Side, watch| {
            worker(side, store.other(&side.redis_url)?, insight().watched_by(watch))
        };
        load::run(&settings.load, &sides, build, &shutdown).await
    } else {
        let worker = worker(&settings.side, store, insight())?;
        worker.run(shutdown.stop, shutdown.timeout).await;
        Ok(())
    }
}

fn side_of(flags: &str) -> Result<Side, SettingError> {
    let flags = || flags.split_whitespace();
    let side = chassis::check_flags::<Side>(flags())
        .and_then(|()| chassis::load_with::<Settings>(flags()));
    side.map(|settings| settings.side).map_err(|error| {
        let error = error.to_string();
        let right =
            "; right would be settings of the loop, of the load's end or pace, or --redis-url";
        let right = if error.contains("right would be") { "" } else { right };
        SettingError::new(format!("COMPARE: {error}{right}"))
    })
}
