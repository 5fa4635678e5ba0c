//! Starts the parts, wires them and stops them in order.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chassis::{HttpMetrics, Limits, SettingError, Shutdown};
use tokio::{net::TcpListener, task::JoinSet};
use tracing::{Instrument, Span, error_span};
use worker::{Client, ConnectionMode, Resolver, Stats, Worker};

use crate::{Settings, Summary};

/// The running application.
pub struct App {
    /// The address of the page.
    pub webui: SocketAddr,
    /// The address of each rng.
    pub rngs: Vec<SocketAddr>,
    /// The address of hasher.
    pub hasher: SocketAddr,
    /// The address of the admin endpoints.
    pub admin: SocketAddr,
    started: Instant,
    workers: Vec<Arc<Worker<Client>>>,
    mining: JoinSet<()>,
    services: JoinSet<()>,
    /// The services stop after the workers, which need them until then.
    services_shutdown: Shutdown,
}

impl App {
    /// Starts every part; mining ends with `shutdown`. Fails when a port or the store is not
    /// available.
    pub async fn start(settings: &Settings, version: &str, shutdown: &Shutdown) -> Result<Self> {
        let (webui_listener, webui) = bind("--webui-port", settings.webui_port, "webui", 1)?;
        let (hasher_listener, hasher) = bind("--hasher-port", settings.hasher_port, "hasher", 1)?;
        let (admin_listener, admin) = bind("--admin-port", settings.admin_port, "admin", 1)?;
        let mut rng_listeners = vec![bind("--rng-port", settings.rng_port, "rng", 1)?];
        for number in 2..=settings.rngs.get().into() {
            rng_listeners.push(bind("--rngs", 0, "rng", number)?);
        }
        let rngs: Vec<_> = rng_listeners.iter().map(|(_, address)| *address).collect();
        let store = settings.store()?;

        let mut rng_settings: rng::Settings = chassis::defaults();
        let mut hasher_settings: hasher::Settings = chassis::defaults();
        let mut worker_settings: worker::Settings = chassis::defaults();
        if settings.fast {
            rng_settings.delay = Duration::ZERO;
            hasher_settings.delay = Duration::ZERO;
            worker_settings.delay = Duration::ZERO;
            worker_settings.connections = ConnectionMode::KeepAlive;
        }

        let services_shutdown = Shutdown::new(shutdown.timeout);
        let stop = &services_shutdown.stop;
        let mut services = JoinSet::new();
        let mut registry = chassis::registry("dockercoins", version);
        let http_metrics = HttpMetrics::register(&mut registry);
        let rng_metrics = rng::Metrics::register(&mut registry);
        let webui_metrics = webui::Metrics::register(&mut registry);
        let worker_metrics = worker::Metrics::register(&mut registry);
        store.register(&mut registry);
        chassis::serve_admin(admin_listener, registry, version.to_owned(), shutdown);
        // All servers share the open files of this process.
        let limits = Limits::shared_by(rngs.len() + 2);
        let mut serve = |service, number, listener, router| {
            let (metrics, shutdown) = (http_metrics.of(service), services_shutdown.clone());
            let served = chassis::serve(listener, router, metrics, limits, shutdown);
            services.spawn(served.instrument(part(service, number)));
        };
        for ((listener, _), number) in rng_listeners.into_iter().zip(1..) {
            let (metrics, name) = (rng_metrics.clone(), format!("rng_{number}"));
            let router = rng::router(&rng_settings, name, metrics, stop.clone());
            serve("rng", number, listener, router);
        }
        serve("hasher", 1, hasher_listener, hasher::router(&hasher_settings, stop.clone()));
        let router = || webui::router(&settings.webui, store.clone(), webui_metrics, stop.clone());
        serve("webui", 1, webui_listener, part("webui", 1).in_scope(router)?);

        let resolver = names(&[("rng", rngs.clone()), ("hasher", vec![hasher])]);
        let mut workers = Vec::new();
        let mut mining = JoinSet::new();
        for number in 1..=settings.workers.get().into() {
            let (name, version) = (format!("worker_{number}"), version.to_owned());
            let client = Client::new(&worker_settings, resolver.clone(), &worker_metrics)?;
            let stats = Stats::new(name, version, worker_metrics.clone());
            let worker = Worker::new(worker_settings.clone(), client, store.clone(), stats)?;
            let run = worker.clone().run(shutdown.stop.clone(), shutdown.timeout);
            mining.spawn(run.instrument(part("worker", number)));
            workers.push(worker);
        }
        shutdown.set_ready();
        let started = Instant::now();
        Ok(Self {
            webui,
            rngs,
            hasher,
            admin,
            started,
            workers,
            mining,
            services,
            services_shutdown,
        })
    }

    /// Waits until the workers have stopped, then stops the services. Fails at once when a part
    /// ends before it is stopped.
    pub async fn wait(mut self) -> Result<Summary> {
        loop {
            tokio::select! {
                ended = self.mining.join_next() => match ended {
                    Some(ended) => ended.context("a worker died")?,
                    None => break,
                },
                Some(ended) = self.services.join_next() => ended.context("a service died")?,
            }
        }
        let elapsed = self.started.elapsed();
        self.services_shutdown.begin();
        while let Some(ended) = self.services.join_next().await {
            ended.context("a service died")?;
        }
        Ok(Summary::new(elapsed, &self.workers))
    }
}

fn bind(
    flag: &str,
    port: u16,
    service: &str,
    number: usize,
) -> Result<(TcpListener, SocketAddr), SettingError> {
    let listen = || chassis::listen(flag, (Ipv4Addr::LOCALHOST, port).into());
    let listener = part(service, number).in_scope(listen)?;
    let address = listener.local_addr();
    let address = address.map_err(|error| SettingError::new(format!("{flag}: {error}")))?;
    Ok((listener, address))
}

/// The span that gives the log lines of a part their prefix, at any log level.
fn part(service: &str, number: usize) -> Span {
    error_span!("part", service = %format_args!("{service}_{number}"))
}

/// The name service of the application: as in a container network, a name may have many addresses.
fn names(names: &[(&str, Vec<SocketAddr>)]) -> Resolver {
    let names: HashMap<String, Vec<SocketAddr>> =
        names.iter().map(|(name, addresses)| ((*name).to_owned(), addresses.clone())).collect();
    Arc::new(move |name| names.get(name).cloned())
}
