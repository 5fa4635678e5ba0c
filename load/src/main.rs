//! The load generator.

use std::sync::Arc;

use anyhow::Result;
use chassis::Chassis;
use load::{Settings, Terminal, Variant};
use store::Store;
use worker::{Client, Metrics, Stats, Worker};

fn main() {
    chassis::run(Settings::threads, run)
}

async fn run(settings: Settings) -> Result<()> {
    let variants = settings.variants()?;
    let terminal = Terminal::stderr();
    let service = &settings.service;
    chassis::start_logs(&service.shared, move || terminal, terminal.is_interactive)?;
    let mut chassis = Chassis::start_traced("load", service)?;
    let metrics = Metrics::register(&mut chassis.registry);
    let stores = variants.iter().map(|variant| Store::redis(&variant.redis_url));
    let stores = stores.collect::<Result<Vec<_>>>()?;
    if let Some(store) = stores.first() {
        store.register(&mut chassis.registry);
    }
    let shutdown = chassis.serve_admin();
    shutdown.set_ready();
    let version = &service.shared.dockercoins_version;
    let build = |variant: &Variant, store: Store| {
        let client = Client::new(&variant.worker, Arc::new(|_| None), &metrics)?;
        let stats = Stats::new(chassis::hostname(), version.clone(), metrics.clone());
        Worker::new(variant.worker.clone(), client, store, stats)
    };
    let variants: Vec<_> = variants.iter().zip(stores).collect();
    load::run(&settings, &variants, build, terminal, &shutdown).await
}
