//! The worker as a load generator: it mines to an end, measures, and reports.
//!
//! The loop knows nothing of this: `schedule` sets the pace, `drive` keeps it, `record` watches, and
//! `report` sums up.

mod compare;
mod drive;
mod expect;
mod progress;
mod record;
mod report;
mod schedule;

use std::{io::Write, num::NonZero, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use chassis::{SettingError, Shutdown};
use clap::ValueEnum;

use crate::{Peers, Worker, insight::Watch};
use compare::Comparison;
use expect::Expectation;
use record::Record;
use report::Report;

/// Turns of each side of a comparison, unless the user has said how many.
const ROUNDS: u16 = 2;

/// The shape of the report.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

/// When a load ends, and how fast its work begins.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Pace {
    /// Generate load for so long, report on stdout, and end.
    #[arg(long, env, value_parser = parse_length)]
    pub duration: Option<Duration>,
    /// Generate load until so many hashes are made, in whole batches, report on stdout, and end.
    #[arg(long, env, value_parser = parse_hashes)]
    pub hashes: Option<NonZero<u64>>,
    /// Hashes to begin per second, whatever the answers take (an open loop); as many as the loops
    /// can, if unset (a closed loop).
    #[arg(long, env, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Time before the measurement in which the load is generated already.
    #[arg(long, env, default_value = "0s", value_parser = chassis::parse_duration)]
    pub warm_up: Duration,
}

/// What is told of a load.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Shape of the report.
    #[arg(long, env, default_value = "text")]
    pub output: Output,
    /// What must hold for exit code 0, such as 'p99<5ms,errors=0,hashes_per_second>1000'.
    #[arg(long, env, value_delimiter = ',')]
    pub expect: Vec<Expectation>,
    /// Compare with the same load under other flags, such as '--connections http2', in turn.
    #[arg(long, env, allow_hyphen_values = true, hide_env_values = true,
          value_parser = parse_flags)]
    pub compare: Option<String>,
    /// Turns of each side of a comparison; 2 if unset.
    #[arg(long, env, value_parser = chassis::parse_count)]
    pub rounds: Option<NonZero<u16>>,
}

fn parse_length(value: &str) -> Result<Duration, String> {
    let is_some = |length: &Duration| !length.is_zero();
    let length = chassis::parse_duration(value).ok().filter(is_some);
    length.ok_or_else(|| chassis::wrong(value, "a length of time above 0s", "30s, 500ms or 2h"))
}

fn parse_hashes(value: &str) -> Result<NonZero<u64>, String> {
    value.parse().map_err(|_| chassis::wrong(value, "a whole number from 1", "1000 or 1000000"))
}

fn parse_flags(value: &str) -> Result<String, String> {
    let flags = value.trim().starts_with('-').then(|| value.to_owned());
    // The value may hold a password.
    flags.ok_or_else(|| "flags of the other side are missing; right would be '--batch 32'".into())
}

fn parse_rate(value: &str) -> Result<f64, String> {
    let rate = value.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    let what = "a number of hashes per second, from 0.001 to 1000000";
    rate.ok_or_else(|| chassis::wrong(value, what, "50 or 1000"))
}

impl Settings {
    /// Whether a load is asked for. Fails when it has no end, or when something is asked of a
    /// comparison that is none.
    pub fn is_asked(&self, pace: &Pace) -> Result<bool, SettingError> {
        let asked = pace.duration.is_some() || pace.hashes.is_some();
        let unused = [
            ("RATE", pace.rate.is_some()),
            ("WARM_UP", !pace.warm_up.is_zero()),
            ("EXPECT", !self.expect.is_empty()),
            ("COMPARE", self.compare.is_some()),
            ("ROUNDS", self.rounds.is_some()),
            ("OUTPUT", self.output == Output::Json),
        ];
        if let Some((name, _)) = unused.into_iter().find(|(_, set)| *set && !asked) {
            return Err(SettingError::new(format!(
                "{name}: a load needs an end; right would be --duration 30s or --hashes 1000 with it"
            )));
        }
        let of_two = [
            ("EXPECT: a ratio needs", self.expect.iter().any(Expectation::is_of_comparison)),
            ("ROUNDS: turns need", self.rounds.is_some()),
        ];
        if let Some((what, _)) = of_two.iter().find(|(_, set)| *set && self.compare.is_none()) {
            return Err(SettingError::new(format!(
                "{what} two sides; right would be --compare '--batch 32' with it"
            )));
        }
        Ok(asked)
    }
}

/// Generates the load with the workers that `build` makes for each side: one, or two to compare.
/// Writes the report to stdout. Fails when an expectation does not hold, when redis has not taken
/// all the work, or when it was interrupted.
pub async fn run<S, P: Peers>(
    settings: &Settings,
    sides: &[(&Pace, &S)],
    build: impl Fn(&S, Arc<dyn Watch>) -> Result<Arc<Worker<P>>>,
    shutdown: &Shutdown,
) -> Result<()> {
    let rounds = if sides.len() > 1 { settings.rounds.map_or(ROUNDS, NonZero::get) } else { 1 };
    let turns = (0..rounds).flat_map(|_| sides.iter().zip(["A", "B"]));
    let mut reports: Vec<(&str, Report)> = Vec::new();
    for ((pace, side), name) in turns {
        let record = Arc::new(Record::new(pace.warm_up));
        let worker = build(side, record.clone())?;
        reports.push((name, drive::run(pace, worker, &record, shutdown).await));
        if shutdown.stop.is_cancelled() {
            break;
        }
    }
    let is_whole = reports.len() == usize::from(rounds) * sides.len()
        && !reports.iter().any(|(_, report)| report.interrupted);
    let comparison = (sides.len() > 1).then(|| Comparison::new(&reports, is_whole));
    let text = match (settings.output, &comparison) {
        (Output::Json, Some(comparison)) => serde_json::to_string(comparison)?,
        (Output::Json, None) => serde_json::to_string(&reports[0].1)?,
        (Output::Text, Some(comparison)) => comparison.to_string(),
        (Output::Text, None) => reports[0].1.to_string(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;

    let of_each = reports.iter().flat_map(|(name, report)| {
        let broken = settings.expect.iter().filter_map(|expectation| expectation.broken(report));
        let side = if sides.len() > 1 { format!("{name}: ") } else { String::new() };
        broken.chain(report.loss()).map(move |broken| format!("{side}{broken}"))
    });
    let of_both = comparison.iter().flat_map(|comparison| {
        settings
            .expect
            .iter()
            .filter_map(|expectation| expectation.broken_ratio(comparison.ratio()))
    });
    let interrupted = (!is_whole).then(|| "the load was interrupted before its end".to_owned());
    let broken: Vec<_> = interrupted.into_iter().chain(of_each).chain(of_both).collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}
