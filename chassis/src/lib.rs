//! What every service of DockerCoins shares, in the order in which `main` calls it: settings,
//! telemetry, shutdown, listeners, the admin endpoints and the server. It knows no coins.

mod access;
mod admin;
mod healthcheck;
mod listen;
mod metrics;
mod server;
mod settings;
mod shutdown;
mod telemetry;
mod timing;

use prometheus_client::registry::Registry;

pub use access::ACCESS;
pub use healthcheck::healthcheck;
pub use listen::listen;
pub use metrics::registry;
pub use server::{Limits, raise_file_limit, serve, serve_admin};
pub use settings::{
    Action, ByteSize, Listen, Service, SettingError, Settings, defaults, exit, load, parse_count,
    parse_duration, parse_port, parse_size, wrong,
};
pub use shutdown::Shutdown;
pub use telemetry::{LogFormat, init};
pub use timing::{ServerTiming, hostname, simulate};

/// What every service does first: logs, signals, admin endpoints. Returns nothing when the process
/// was asked for a health check, which has then succeeded.
pub fn start(
    service: &Service,
    version: &'static str,
    registry: Registry,
) -> anyhow::Result<Option<Shutdown>> {
    if let Some(Action::Healthcheck) = service.action {
        healthcheck(service.admin_listen)?;
        return Ok(None);
    }
    init(&service.shared)?;
    raise_file_limit();
    let shutdown = Shutdown::on_signals(&service.shared)?;
    let admin = listen("ADMIN_LISTEN", service.admin_listen)?;
    serve_admin(admin, version, registry, &shutdown);
    Ok(Some(shutdown))
}
