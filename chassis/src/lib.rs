//! What every service of DockerCoins shares, in the order in which `main` uses it: settings,
//! telemetry, shutdown, listeners, the admin endpoints and the server. It does not know about
//! coins.

mod access;
mod activity;
mod admin;
mod connection;
mod export;
mod faults;
mod healthcheck;
mod limits;
mod listen;
mod metrics;
mod observe;
mod parse;
mod path;
mod run;
mod server;
mod settings;
mod shutdown;
mod telemetry;
mod threads;
mod timing;
pub mod trace;

use std::io::{self, IsTerminal};

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tracing::info;

pub use access::ACCESS;
pub use faults::{FaultSettings, Faults};
pub use healthcheck::healthcheck;
pub use limits::Limits;
pub use listen::listen;
pub use metrics::{GaugeGuard, registry, seconds};
pub use observe::HttpMetrics;
pub use parse::{
    ByteSize, SettingError, defaults, invalid_value, parse, parse_count, parse_duration,
    parse_port, parse_size,
};
pub use run::{exit, run};
pub use server::{serve, serve_admin};
pub use settings::{Action, Listen, LogFormat, Service, Settings};
pub use shutdown::Shutdown;
pub use telemetry::{has_control_codes, start_logs};
pub use timing::{ServedBy, ServerTiming, hostname, simulate};

/// The version of every program, which the workspace gives to all its crates.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prepares any process: logs on stdout, trace identifiers, as many open files as the host allows,
/// signals. Fails when a setting of the logs is invalid or signals cannot be received.
pub fn prepare(settings: &Settings) -> anyhow::Result<Shutdown> {
    start_logs(settings, io::stdout, io::stdout().is_terminal())?;
    trace::init();
    limits::raise_file_limit();
    Ok(Shutdown::on_signals(settings)?)
}

/// A service between its start and its end.
pub struct Chassis {
    /// Where the service registers its metrics.
    pub registry: Registry,
    /// The handle that stops the service.
    pub shutdown: Shutdown,
    /// Faults on demand; none unless the service sets some.
    pub faults: Faults,
    name: &'static str,
    version: String,
    admin: TcpListener,
}

impl Chassis {
    /// Starts a service that handles units of work and exports its spans.
    pub fn start_traced(name: &'static str, settings: &Service) -> anyhow::Result<Self> {
        if settings.action.is_none() {
            trace::export(name, &settings.shared.dockercoins_version)?;
        }
        Self::start(name, settings)
    }

    /// Starts a service; a health check runs instead, and ends the process, when that is requested.
    /// Fails when a setting is invalid or the admin port is not available.
    pub fn start(name: &'static str, settings: &Service) -> anyhow::Result<Self> {
        if let Some(Action::Healthcheck) = settings.action {
            exit(healthcheck(settings.admin_listen));
        }
        let shutdown = prepare(&settings.shared)?;
        let version = settings.shared.dockercoins_version.clone();
        let admin = listen("ADMIN_LISTEN", settings.admin_listen)?;
        let registry = registry(name, &version);
        Ok(Self { registry, shutdown, faults: Faults::default(), name, version, admin })
    }

    /// Serves the admin port in the background, and returns the handle that stops the service.
    pub fn serve_admin(self) -> Shutdown {
        let shutdown = self.shutdown.clone();
        let router = admin::router(self.registry, self.version, shutdown, self.faults);
        server::serve_admin_router(self.admin, router);
        self.shutdown
    }

    /// Serves the admin port and the application's own port until the service stops. Fails when the
    /// latter is not available.
    pub async fn serve(mut self, address: &Listen, router: Router) -> anyhow::Result<()> {
        let listener = listen("LISTEN", address.listen)?;
        // The line that webui of the original logs.
        info!("{} running on port {}", self.name.to_uppercase(), listener.local_addr()?.port());
        let metrics = HttpMetrics::register(&mut self.registry).of(self.name);
        let limits = Limits::with_connections(address.max_connections);
        let router = self.faults.clone().add_to(router);
        serve(listener, router, metrics, limits, self.serve_admin()).await;
        Ok(())
    }
}
