//! Two sides of a comparison, which had their turns one after the other: A B A B.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::load::{
    record::UNIT,
    report::{Report, number},
};

/// All reports of both sides, and the ratios of their medians, unless it was interrupted.
#[derive(Serialize)]
pub(crate) struct Comparison<'a> {
    a: Vec<&'a Report>,
    b: Vec<&'a Report>,
    ratio: Option<Ratio>,
}

/// How many times as much B has; not a number, which JSON has as `null`, where nothing was measured.
#[derive(Clone, Copy, Serialize)]
struct Ratio {
    hashes_per_second: f64,
    cpu_seconds_per_hash: f64,
    p50: f64,
    p99: f64,
}

impl<'a> Comparison<'a> {
    /// Of reports that know their side, and whether those are all.
    pub(crate) fn new(reports: &'a [(&str, Report)], is_whole: bool) -> Self {
        let of = |side| reports.iter().filter(move |(name, _)| *name == side);
        let [a, b] = ["A", "B"].map(|side| of(side).map(|(_, report)| report).collect::<Vec<_>>());
        let ratio = |of: fn(&Report) -> f64| median(&b, of) / median(&a, of);
        let ratio = is_whole.then(|| Ratio {
            hashes_per_second: ratio(|report| report.hashes_per_second),
            cpu_seconds_per_hash: ratio(|report| report.cpu_seconds_per_hash),
            p50: ratio(|report| report.latencies.get(UNIT).map_or(f64::NAN, |unit| unit.p50)),
            p99: ratio(|report| report.latencies.get(UNIT).map_or(f64::NAN, |unit| unit.p99)),
        });
        Self { a, b, ratio }
    }

    /// How many times the hashes per second of A B has.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.ratio.map(|ratio| ratio.hashes_per_second)
    }
}

fn median(reports: &[&Report], of: fn(&Report) -> f64) -> f64 {
    let mut values: Vec<f64> = reports.iter().map(|report| of(report)).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => (values[half - 1] + values[half]) / 2.0,
    }
}

impl Display for Comparison<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for turn in 0..self.a.len() {
            for (name, reports) in [("A", &self.a), ("B", &self.b)] {
                reports.get(turn).map_or(Ok(()), |report| writeln!(f, "{name}: {report}"))?;
            }
        }
        let Some(Ratio { hashes_per_second, cpu_seconds_per_hash, p50, p99 }) = self.ratio else {
            return writeln!(f, "no ratio, since not every turn has come to its end");
        };
        let [speed, cpu, p50, p99] =
            [hashes_per_second, cpu_seconds_per_hash, p50, p99].map(|ratio| number(ratio, 3));
        writeln!(
            f,
            "B has {speed} times the hashes/s of A, {cpu} times the CPU time per hash, and"
        )?;
        writeln!(f, "{p50} times the p50 and {p99} times the p99 of a unit of work (medians)")
    }
}
