//! What every service of DockerCoins shares, in the order in which `main` calls it: settings,
//! telemetry, shutdown, listeners, the admin endpoints and the server. It knows no coins.

mod access;
mod admin;
mod answers;
mod connection;
mod export;
mod healthcheck;
mod listen;
mod metrics;
mod observe;
mod server;
mod settings;
mod shutdown;
mod telemetry;
mod timing;
pub mod trace;
mod wire;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

pub use access::ACCESS;
pub use healthcheck::healthcheck;
pub use listen::listen;
pub use metrics::{Present, registry, seconds};
pub use observe::Http;
pub use server::{Limits, serve, serve_admin};
pub use settings::{
    Action, ByteSize, Listen, Service, SettingError, Settings, check_flags, defaults, exit,
    load_with, parse_count, parse_duration, parse_port, parse_size, run, wrong,
};
pub use shutdown::Shutdown;
pub use telemetry::LogFormat;
pub use timing::{Served, ServerTiming, hostname, simulate};

/// The version of every program, which the workspace gives to all its crates.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every process does first: logs, traces, as many open files as the host allows, signals.
pub fn prepare(settings: &Settings) -> anyhow::Result<Shutdown> {
    telemetry::init(settings)?;
    trace::init();
    server::raise_file_limit();
    Ok(Shutdown::on_signals(settings)?)
}

/// A service between its start and its end.
pub struct Chassis {
    /// Where the service registers its metrics.
    pub registry: Registry,
    /// What ends the service.
    pub shutdown: Shutdown,
    name: &'static str,
    version: String,
    admin: TcpListener,
}

impl Chassis {
    /// What a service does first that takes part in a unit of work, and exports its part of the trace.
    pub fn start_traced(name: &'static str, settings: &Service) -> anyhow::Result<Self> {
        if settings.action.is_none() {
            trace::export(name, &settings.shared.dockercoins_version)?;
        }
        Self::start(name, settings)
    }

    /// What every service does first. A health check, when the process was asked for one, also ends
    /// it.
    pub fn start(name: &'static str, settings: &Service) -> anyhow::Result<Self> {
        if let Some(Action::Healthcheck) = settings.action {
            exit(healthcheck(settings.admin_listen));
        }
        let shutdown = prepare(&settings.shared)?;
        let version = settings.shared.dockercoins_version.clone();
        let admin = listen("ADMIN_LISTEN", settings.admin_listen)?;
        Ok(Self { registry: registry(name, &version), shutdown, name, version, admin })
    }

    /// Answers on the admin port from now on, and returns what ends the service.
    pub fn serve_admin(self) -> Shutdown {
        serve_admin(self.admin, self.registry, self.version, &self.shutdown);
        self.shutdown
    }

    /// Serves on the admin port and on the application's own, until the end.
    pub async fn serve(mut self, listener: TcpListener, router: Router) {
        let http = Http::register(&mut self.registry).of(self.name);
        let shutdown = self.serve_admin();
        serve(listener, router, http, Limits::default(), shutdown).await;
    }
}
