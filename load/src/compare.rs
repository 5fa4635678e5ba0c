//! A comparison of two variants that took turns: A B A B.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use serde::Serialize;

use crate::{
    expect::Quantity,
    record::{Statistic, UNIT},
    report::{Report, number},
};

/// All reports of both variants, and if every turn is complete the medians of B divided by those of
/// A: NaN, which is `null` in JSON, where nothing was measured.
#[derive(Serialize)]
pub(crate) struct Comparison<'a> {
    a: Vec<&'a Report>,
    b: Vec<&'a Report>,
    ratio: Option<BTreeMap<&'static str, f64>>,
}

/// The figures that are compared.
const FIGURES: [(&str, Quantity); 4] = [
    ("hashes_per_second", Quantity::HashesPerSecond),
    ("cpu_seconds_per_hash", Quantity::CpuSecondsPerHash),
    ("p50", Quantity::Latency(UNIT, Statistic::Percentile(50.0))),
    ("p99", Quantity::Latency(UNIT, Statistic::Percentile(99.0))),
];

impl<'a> Comparison<'a> {
    /// Compares the reports of turns, of which variant A took the first.
    pub(crate) fn new(reports: &'a [Report], is_complete: bool) -> Self {
        let of = |variant| reports.iter().skip(variant).step_by(2).collect::<Vec<_>>();
        let (a, b) = (of(0), of(1));
        let ratio = |(name, quantity)| (name, median(&b, quantity) / median(&a, quantity));
        let ratio = is_complete.then(|| FIGURES.map(ratio).into());
        Self { a, b, ratio }
    }

    /// The hashes per second of B divided by those of A; NaN if not every turn is complete.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratio.as_ref().map_or(f64::NAN, |ratio| ratio["hashes_per_second"])
    }
}

fn median(reports: &[&Report], quantity: Quantity) -> f64 {
    let mut values: Vec<f64> = reports.iter().map(|report| quantity.of(report)).collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => f64::NAN,
        _ => f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]),
    }
}

impl Display for Comparison<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for turn in 0..self.a.len() {
            for (name, reports) in [("A", &self.a), ("B", &self.b)] {
                reports.get(turn).map_or(Ok(()), |report| writeln!(f, "{name}: {report}"))?;
            }
        }
        let Some(ratio) = &self.ratio else {
            return writeln!(f, "no ratio, because not every turn is complete");
        };
        let [speed, cpu, p50, p99] = FIGURES.map(|(name, _)| number(ratio[name], 3));
        writeln!(
            f,
            "B has {speed} times the hashes/s of A, {cpu} times the CPU time per hash, and"
        )?;
        writeln!(f, "{p50} times the p50 and {p99} times the p99 of a unit of work (medians)")
    }
}
