//! DockerCoins on a laptop: one command, one process.

use std::io::Write;

use anyhow::Result;
use chassis::Shutdown;
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
}

#[tokio::main]
async fn main() {
    chassis::exit(run().await)
}

async fn run() -> Result<()> {
    let mut settings: Settings = chassis::load()?;
    if settings.app.fast {
        settings.shared.rust_log += &format!(",{}=off", chassis::ACCESS);
    }
    chassis::init(&settings.shared)?;
    let shutdown = Shutdown::on_signals(&settings.shared)?;
    let app = App::start(&settings.app, &shutdown).await?;
    say(&format!("DockerCoins is mining: http://localhost:{}/", app.webui.port()));
    let summary = app.wait().await?;
    say(&format!("{summary}"));
    Ok(())
}

/// Writes a line for people. Nobody reading is no reason to fail.
fn say(line: &str) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
