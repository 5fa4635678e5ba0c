//! The load generator runs the loop of the worker until a given end, measures it, and reports.
//!
//! In reading order: `schedule` decides when units of work start, `drive` runs the loops, `record`
//! collects the measurements, `report` summarises them, `expect` and `compare` judge the reports.

mod compare;
mod drive;
mod expect;
mod record;
mod report;
mod schedule;
mod terminal;

use std::{env, ffi::OsString, io::Write, num::NonZero, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use chassis::{SettingError, Shutdown};
use clap::{CommandFactory, Parser, ValueEnum};
use store::{RedisUrl, Store};
use worker::{Client, Worker};

use crate::compare::Comparison;
pub use crate::{expect::Expectation, terminal::Terminal};

/// Turns of each variant of a comparison, unless `--rounds` is set.
const ROUNDS: u16 = 2;

/// Generates load on rng and hasher as a worker does, and reports how fast they are.
#[derive(Parser)]
#[command(version)]
pub struct Settings {
    /// The load, or variant A of a comparison.
    #[command(flatten)]
    pub variant: Variant,
    /// Shape of the report.
    #[arg(long, env, default_value = "text")]
    pub output: Output,
    /// Conditions for exit code 0, such as 'p99<5ms,errors=0,hashes_per_second>1000'.
    #[arg(long, env, value_delimiter = ',')]
    pub expect: Vec<Expectation>,
    /// Compare with the same load under other flags, such as '--connections http2', in turn.
    #[arg(long, env, allow_hyphen_values = true, hide_env_values = true)]
    pub compare: Option<String>,
    /// Turns of each variant of a comparison; 2 if unset.
    #[arg(long, env, value_parser = chassis::parse_count)]
    pub rounds: Option<NonZero<u16>>,
    /// Settings of every service.
    #[command(flatten, next_help_heading = "Every service")]
    pub service: chassis::Service,
}

/// The settings in which the two variants of a comparison can differ.
#[derive(Clone, Parser)]
pub struct Variant {
    /// Settings of the worker.
    #[command(flatten, next_help_heading = "Worker")]
    pub worker: worker::Settings,
    /// URL of redis; rediss:// uses TLS.
    #[arg(long, env, default_value = "redis://redis:6379", hide_env_values = true)]
    pub redis_url: RedisUrl,
    /// When the load ends, and how fast its units of work start.
    #[command(flatten, next_help_heading = "Load")]
    pub profile: LoadProfile,
}

/// When a load ends, and how fast its units of work start.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct LoadProfile {
    /// Generate load for this duration, then print the report on stdout and exit.
    #[arg(long, env, value_parser = parse_length)]
    pub duration: Option<Duration>,
    /// Generate load until this number of hashes is made, in whole batches, then print the report
    /// on stdout and exit.
    #[arg(long, env, value_parser = parse_hashes)]
    pub hashes: Option<NonZero<u64>>,
    /// Hashes to start per second, however long the responses take (an open loop). If unset, a loop
    /// starts each unit of work when its previous one is done (a closed loop).
    #[arg(long, env, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Time between the start of the load and the start of the measurement.
    #[arg(long, env, default_value = "0s", value_parser = chassis::parse_duration)]
    pub warm_up: Duration,
    /// With --hashes: give up when requests have failed for this long and no unit of work has
    /// succeeded.
    #[arg(long, env, default_value = "30s", value_parser = chassis::parse_duration)]
    pub stall_timeout: Duration,
}

/// The shape of the report.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

fn parse_length(value: &str) -> Result<Duration, String> {
    let duration = chassis::parse_duration(value)?;
    let zero = || chassis::invalid_value(value, "a duration above 0s", "30s, 500ms or 2h");
    Some(duration).filter(|duration| !duration.is_zero()).ok_or_else(zero)
}

fn parse_hashes(value: &str) -> Result<NonZero<u64>, String> {
    let expected = "a whole number from 1";
    value.parse().map_err(|_| chassis::invalid_value(value, expected, "1000 or 1000000"))
}

fn parse_rate(value: &str) -> Result<f64, String> {
    let rate = value.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    let expected = "a number of hashes per second, from 0.001 to 1000000";
    rate.ok_or_else(|| chassis::invalid_value(value, expected, "50 or 1000"))
}

impl Settings {
    /// Threads of the process: one if every variant has one loop, which a second thread does not
    /// speed up.
    pub fn threads(&self) -> Option<NonZero<u16>> {
        let one = NonZero::<u16>::MIN;
        let variants = self.variants().unwrap_or_default();
        let is_one_loop = variants.iter().all(|variant| variant.worker.concurrency == one);
        self.service.threads().or(is_one_loop.then_some(one))
    }

    /// The variants to measure: one, two for a comparison, none for a health check. Fails when the
    /// settings contradict each other.
    pub fn variants(&self) -> Result<Vec<Variant>, SettingError> {
        if self.service.action.is_some() {
            return Ok(Vec::new());
        }
        let LoadProfile { duration, hashes, .. } = self.variant.profile;
        let message = match &self.compare {
            _ if duration.is_none() && hashes.is_none() => {
                "DURATION: a load needs an end; right would be --duration 30s or --hashes 1000"
            }
            Some(flags) => return Ok(vec![self.variant.clone(), with_flags(flags)?]),
            None if self.expect.iter().any(Expectation::is_of_ratio) => {
                "EXPECT: a ratio needs two variants; right would be --compare '--batch 32' with it"
            }
            None if self.rounds.is_some() => {
                "ROUNDS: turns need two variants; right would be --compare '--batch 32' with it"
            }
            None => return Ok(vec![self.variant.clone()]),
        };
        Err(SettingError::new(message))
    }
}

/// The settings of this process with the flags of variant B. Fails when one of these is not a flag
/// of [`Variant`], or has a wrong value.
fn with_flags(flags: &str) -> Result<Variant, SettingError> {
    let flags = || flags.split_whitespace().map(OsString::from);
    let command = Variant::command().no_binary_name(true).args_override_self(true);
    let command = command.disable_help_flag(true).disable_version_flag(true);
    let settings = chassis::parse::<Variant>(command, flags()).and_then(|_| {
        let command = Settings::command().args_override_self(true);
        chassis::parse::<Settings>(command, env::args_os().chain(flags()))
    });
    settings.map(|settings| settings.variant).map_err(|error| {
        let mut message = format!("COMPARE: {error}");
        if !message.contains("right would be") {
            message += "; right would be a flag of the worker or of the load profile, such as '--batch 32'";
        }
        SettingError::new(message)
    })
}

/// Measures each variant with the workers that `build` makes, and prints the report on stdout.
/// Fails when the load stalled or was interrupted, when an expectation is violated, or when redis
/// has not acknowledged all the work.
pub async fn run(
    settings: &Settings,
    variants: &[(&Variant, Store)],
    build: impl Fn(&Variant, Store) -> Result<Arc<Worker<Client>>>,
    terminal: Terminal,
    shutdown: &Shutdown,
) -> Result<()> {
    let is_comparison = variants.len() > 1;
    let rounds = if is_comparison { settings.rounds.map_or(ROUNDS, NonZero::get) } else { 1 };
    let turns = usize::from(rounds) * variants.len();
    let mut reports = Vec::new();
    for (variant, store) in variants.iter().cycle().take(turns) {
        let worker = build(variant, store.clone())?;
        let report = drive::run(&variant.profile, worker, terminal, shutdown).await?;
        let is_stalled = report.run.stall.is_some();
        reports.push(report);
        if is_stalled || shutdown.stop.is_cancelled() {
            break;
        }
    }
    let is_complete =
        reports.len() == turns && !reports.iter().any(|report| report.run.interrupted);
    let comparison = is_comparison.then(|| Comparison::new(&reports, is_complete));
    let text = match (settings.output, &comparison) {
        (Output::Json, Some(comparison)) => serde_json::to_string(comparison)?,
        (Output::Json, None) => serde_json::to_string(&reports[0])?,
        (Output::Text, Some(comparison)) => comparison.to_string(),
        (Output::Text, None) => reports[0].to_string(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;

    let (of_ratio, of_load): (Vec<_>, Vec<_>) =
        settings.expect.iter().partition(|expected| expected.is_of_ratio());
    let mut failures = Vec::new();
    if !is_complete && reports.iter().all(|report| report.run.stall.is_none()) {
        failures.push("the load was interrupted before its end".to_owned());
    }
    for (turn, report) in reports.iter().enumerate() {
        let prefix = if is_comparison { ["A: ", "B: "][turn % 2] } else { "" };
        let violation = |expected: &&Expectation| expected.violation(expected.quantity.of(report));
        let violations = of_load.iter().filter_map(violation);
        let of_report = report.run.stall.clone().into_iter().chain(violations).chain(report.loss());
        failures.extend(of_report.map(|failure| format!("{prefix}{failure}")));
    }
    if let Some(comparison) = comparison {
        let ratio = comparison.ratio();
        failures.extend(of_ratio.iter().filter_map(|expected| expected.violation(ratio)));
    }
    ensure!(failures.is_empty(), failures.join("; "));
    Ok(())
}
