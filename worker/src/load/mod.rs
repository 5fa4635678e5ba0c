//! The worker as a load generator: it mines to an end, measures, and reports.
//!
//! The loop knows nothing of this: `drive` sets its pace, `record` watches it, `report` sums up.

mod compare;
mod drive;
mod expect;
mod progress;
mod record;
mod report;

use std::{io::Write, num::NonZero, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use chassis::{SettingError, Shutdown};
use clap::ValueEnum;

use crate::{Peers, Worker, insight::Watch};
use compare::Comparison;
use expect::Expectation;
use record::Record;
use report::Report;

/// The shape of the report.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

/// How a load is generated.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Generate load for so long, report on stdout, and end.
    #[arg(long, env, value_parser = chassis::parse_duration)]
    pub duration: Option<Duration>,
    /// Generate load until so many hashes are made, report on stdout, and end.
    #[arg(long, env)]
    pub hashes: Option<NonZero<u64>>,
    /// Hashes to begin per second, whatever the answers take (an open loop); as many as the loops
    /// can, if unset (a closed loop).
    #[arg(long, env, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Time before the measurement in which the load is generated already.
    #[arg(long, env, default_value = "0s", value_parser = chassis::parse_duration)]
    pub warm_up: Duration,
    /// Shape of the report.
    #[arg(long, env, default_value = "text")]
    pub output: Output,
    /// What must hold for exit code 0, such as 'p99<5ms,errors=0,hashes_per_second>1000'.
    #[arg(long, env, value_delimiter = ',')]
    pub expect: Vec<Expectation>,
    /// Compare with the same load under other flags, such as '--connections http2', in turn.
    #[arg(long, env)]
    pub compare: Option<String>,
    /// Turns of each side of a comparison.
    #[arg(long, env, default_value = "2", value_parser = chassis::parse_count)]
    pub rounds: NonZero<u16>,
}

fn parse_rate(value: &str) -> Result<f64, String> {
    let rate = value.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    let what = "a number of hashes per second, from 0.001 to 1000000";
    rate.ok_or_else(|| chassis::wrong(value, what, "50 or 1000"))
}

impl Settings {
    /// Whether a load is asked for. Fails when it has no end.
    pub fn is_asked(&self) -> Result<bool, SettingError> {
        let asked = self.duration.is_some() || self.hashes.is_some();
        let unused = [
            ("RATE", self.rate.is_some()),
            ("EXPECT", !self.expect.is_empty()),
            ("COMPARE", self.compare.is_some()),
            ("OUTPUT", self.output == Output::Json),
        ];
        match unused.into_iter().find(|(_, set)| *set && !asked) {
            None => Ok(asked),
            Some((name, _)) => Err(SettingError::new(format!(
                "{name}: a load needs an end; right would be --duration 30s or --hashes 1000 with it"
            ))),
        }
    }
}

/// Generates the load with the workers that `build` makes for each side: one, or two to compare.
/// Writes the report to stdout. Fails when an expectation does not hold.
pub async fn run<S, P: Peers>(
    settings: &Settings,
    sides: &[S],
    build: impl Fn(&S, Arc<dyn Watch>) -> Result<Arc<Worker<P>>>,
    shutdown: &Shutdown,
) -> Result<()> {
    let rounds = if sides.len() > 1 { settings.rounds.get() } else { 1 };
    let mut reports: Vec<Vec<Report>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (side, reports) in sides.iter().zip(&mut reports) {
            if !shutdown.stop.is_cancelled() {
                let record = Arc::new(Record::new(settings.warm_up));
                let worker = build(side, record.clone())?;
                reports.push(drive::run(settings, worker, &record, shutdown).await);
            }
        }
    }
    let comparison = match &reports[..] {
        [a, b] => Some(Comparison::new(a, b)),
        _ => None,
    };
    let text = match (settings.output, &comparison) {
        (Output::Json, Some(comparison)) => serde_json::to_string(comparison)?,
        (Output::Json, None) => serde_json::to_string(&reports.iter().flatten().next())?,
        (Output::Text, Some(comparison)) => comparison.to_string(),
        (Output::Text, None) => reports.iter().flatten().map(Report::to_string).collect(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;

    let ratio = comparison.map(|comparison| comparison.ratio.hashes_per_second);
    let broken = settings.expect.iter().flat_map(|expectation| {
        reports.iter().flatten().filter_map(move |report| expectation.broken(report, ratio))
    });
    let broken: Vec<_> = broken.collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}
