//! DockerCoins on a laptop: one command, one process.

use std::{io::Write, net::Ipv4Addr};

use anyhow::Result;
use chassis::{Action, LogFormat, trace};
use clap::Parser;
use dockercoins::App;

/// Mines DockerCoins: rng, hasher, worker and webui in one process.
#[derive(Parser)]
#[command(version)]
struct Settings {
    #[command(flatten)]
    app: dockercoins::Settings,
    #[command(flatten)]
    shared: chassis::Settings,
    #[command(subcommand)]
    action: Option<Action>,
}

fn main() {
    chassis::run(|settings: &Settings| settings.shared.threads_for(settings.action), run)
}

async fn run(mut settings: Settings) -> Result<()> {
    if settings.app.fast {
        settings.shared.rust_log += &format!(",{}=off", chassis::ACCESS);
    }
    if let Some(Action::Healthcheck) = settings.action {
        return chassis::healthcheck((Ipv4Addr::LOCALHOST, settings.app.admin_port).into());
    }
    trace::export("dockercoins", &settings.shared.dockercoins_version)?;
    let shutdown = chassis::prepare(&settings.shared)?;
    let app = App::start(&settings.app, &settings.shared.dockercoins_version, &shutdown).await?;
    let say = |line: &str| match settings.shared.log_format {
        // A closed stdout is no reason to stop mining.
        LogFormat::Text => drop(writeln!(std::io::stdout(), "{line}")),
        LogFormat::Json => tracing::info!("{line}"),
    };
    say(&format!("DockerCoins is mining: http://localhost:{}/", app.webui.port()));
    say(&app.wait().await?.to_string());
    Ok(())
}
