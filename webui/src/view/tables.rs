//! The rows of the workers, the rngs and the stages.

use store::{Stage, StageTimes};

use crate::{
    rngs::Load,
    state::State,
    view::text::{decimal, ms, or_dash, percent, shorten, thousands},
    workers::Run,
};

/// The number of rows in a table, unless only one more is left.
const MAX_ROWS: usize = 20;
/// A worker below this share of the mean speed is slow.
const SLOW: f64 = 0.8;
/// The maximum length of a name and of a sentence from the store; longer ones are cut.
const MAX_NAME: usize = 64;
const MAX_SENTENCE: usize = 200;

/// The stages in the order of the page, with their label and their kind.
const STAGES: [(Stage, &str, &str); 8] = [
    (Stage::RngQueue, "queue of rng", "waiting"),
    (Stage::Pause, "pause of worker", "sleeping"),
    (Stage::RngDelay, "delay of rng", "sleeping"),
    (Stage::HasherDelay, "delay of hasher", "sleeping"),
    (Stage::Work, "rng and hasher", "working"),
    (Stage::Network, "network", "working"),
    (Stage::Redis, "redis", "working"),
    (Stage::Unknown, "not reported", "unknown"),
];
const KINDS: [(&str, &str); 4] = [
    ("waiting", "Waiting"),
    ("sleeping", "Sleeping on purpose"),
    ("working", "Working"),
    ("unknown", "Unknown"),
];

/// A stage of a unit of work.
pub(crate) struct StageRow {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) ms: String,
    /// The start and the width of its part of the bar, in percent.
    pub(crate) left: f64,
    pub(crate) width: f64,
}

/// Stages of one kind: class, name, share of the time.
pub(crate) type Kind = (&'static str, &'static str, String);

/// A worker.
pub(crate) struct WorkerRow {
    pub(crate) run: String,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) colour: u8,
    pub(crate) loops: u16,
    pub(crate) coins: String,
    pub(crate) speed: String,
    /// The length of its bar, and the place of the mean, in percent.
    pub(crate) bar: f64,
    pub(crate) mean: f64,
    pub(crate) error: Option<String>,
}

/// An rng.
pub(crate) struct RngRow {
    pub(crate) name: String,
    pub(crate) lanes: u16,
    pub(crate) served: String,
    pub(crate) busy: String,
    /// The length of its bar, in percent.
    pub(crate) bar: f64,
    pub(crate) queue: String,
}

/// The stages of a mean unit of work, and their kinds.
pub(crate) fn stages(unit: Option<StageTimes>) -> (Vec<StageRow>, Vec<Kind>) {
    let Some(unit) = unit else { return Default::default() };
    let total = unit.total().max(f64::MIN_POSITIVE);
    let mut left = 0.0;
    let row = |(stage, name, kind)| {
        let width = unit[stage] / total * 100.0;
        left += width;
        StageRow { name, kind, ms: ms(unit[stage]), left: left - width, width }
    };
    let rows: Vec<_> = STAGES.into_iter().map(row).collect();
    let share = |(class, name)| {
        let rows = rows.iter().filter(|row| row.kind == class);
        (class, name, rows.map(|row| row.width).sum::<f64>())
    };
    let kinds = KINDS.into_iter().map(share).filter(|kind| kind.0 != "unknown" || kind.2 > 0.0);
    let kinds =
        kinds.map(|(class, name, width)| (class, name, percent(Some(width / 100.0)))).collect();
    (rows, kinds)
}

/// The rows of the workers: those in trouble first, then slow ones, then by name. And the number
/// and the speed of the workers that are left out.
pub(crate) fn workers(state: &State) -> (Vec<WorkerRow>, Option<(usize, String)>) {
    let workers = &state.workers;
    let mut all: Vec<_> =
        workers.runs.iter().map(|(name, run)| (name, run, workers.speed(run))).collect();
    let speeds = || all.iter().filter_map(|(_, _, speed)| *speed);
    let highest = speeds().fold(f64::MIN_POSITIVE, f64::max);
    let mean = speeds().sum::<f64>() / speeds().count().max(1) as f64;
    all.sort_by_cached_key(|(name, run, speed)| {
        let slow = speed.filter(|speed| *speed < SLOW * mean);
        // Tenths, so that rows do not change places all the time.
        let tenths = slow.map_or(u64::MAX, |speed| (speed * 10.0).round() as u64);
        (run.failing_part.is_none(), tenths, natural(&run.heartbeat.host), (*name).clone())
    });
    let rest = all.split_off(shown(all.len()));
    let rest_speed = rest.iter().filter_map(|(_, _, speed)| *speed).sum();
    let more = (!rest.is_empty()).then(|| (rest.len(), decimal(rest_speed)));
    // As in the column beside it, so that a bar changes only with its number.
    let tenths = |speed: f64| (speed * 10.0).round();
    let percent_of_highest = |speed: f64| tenths(speed) / tenths(highest).max(1.0) * 100.0;
    let row = |(name, run, speed): (&String, &Run, Option<f64>)| WorkerRow {
        run: shorten(name, MAX_NAME),
        host: shorten(&run.heartbeat.host, MAX_NAME),
        version: shorten(&run.heartbeat.version, MAX_NAME),
        colour: state.history.known_colour(&run.heartbeat.version),
        loops: run.heartbeat.loops,
        coins: thousands(run.heartbeat.coins),
        speed: or_dash(speed, decimal),
        bar: percent_of_highest(speed.unwrap_or_default()),
        mean: percent_of_highest(mean),
        error: run.heartbeat.last_error.as_deref().map(|error| shorten(error, MAX_SENTENCE)),
    };
    (all.into_iter().map(row).collect(), more)
}

/// The rows of the rngs, by name, and the number of those that are left out.
pub(crate) fn rngs(state: &State) -> (Vec<RngRow>, usize) {
    let mut rngs: Vec<_> = state.workers.rngs.loads.iter().collect();
    rngs.sort_by_cached_key(|(name, _)| natural(name));
    let left_out = rngs.len() - shown(rngs.len());
    rngs.truncate(shown(rngs.len()));
    let row = |(name, load): (&String, &Load)| {
        let rates = load.rates(state.workers.since());
        RngRow {
            name: shorten(name, MAX_NAME),
            lanes: load.lanes,
            served: or_dash(rates.as_ref(), |rates| decimal(rates.served)),
            busy: percent(rates.as_ref().map(|rates| rates.utilisation)),
            bar: rates.as_ref().map_or(0.0, |rates| rates.utilisation * 100.0),
            queue: or_dash(rates.as_ref(), |rates| decimal(rates.waiting)),
        }
    };
    (rngs.into_iter().map(row).collect(), left_out)
}

/// The number of rows that are shown of this number. A single row is never left out.
fn shown(rows: usize) -> usize {
    if rows == MAX_ROWS + 1 { rows } else { rows.min(MAX_ROWS) }
}

/// A key that orders names as people do: worker_2 before worker_10.
fn natural(name: &str) -> Vec<(u128, String)> {
    let chars: Vec<char> = name.chars().collect();
    let pieces = chars.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let piece = |piece: &[char]| {
        let text: String = piece.iter().collect();
        // Digits come before other characters.
        text.parse().map_or((u128::MAX, text), |number| (number, String::new()))
    };
    pieces.map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_do() {
        let long = "9".repeat(99);
        let mut names = ["w10", "w2", "", "w", "w2a", "é", "w02b", "10", "9", &long];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["", "9", "10", &long, "w", "w2", "w2a", "w02b", "w10", "é"]);
    }
}
