//! How far a load is, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::interval;

use crate::load::{Pace, record::Record};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);

/// Steps of the bar.
const STEPS: u64 = 1000;

/// Runs a load and shows on stderr, if that is a terminal, how far it is.
pub(crate) async fn shown<T>(pace: &Pace, record: &Record, load: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new(STEPS);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
        bar.set_style(style);
    }
    let show = async {
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            let passed = Instant::now().saturating_duration_since(record.begin()).as_secs_f64();
            let hashes = record.data().hashes as f64;
            let of_time = pace.duration.map(|duration| passed / duration.as_secs_f64());
            let of_hashes = pace.hashes.map(|most| hashes / most.get() as f64);
            let done = of_time.unwrap_or(0.0).max(of_hashes.unwrap_or(0.0)).min(1.0);
            bar.set_position((done * STEPS as f64) as u64);
            bar.set_message(format!("{passed:.0} s, {:.0} hashes/s", hashes / passed.max(0.001)));
        }
    };
    tokio::select! {
        result = load => {
            bar.finish_and_clear();
            result
        }
        never = show => never,
    }
}
