//! Expectations: bounds on the figures of a report.

use std::str::FromStr;

use clap::ValueEnum;

use crate::{
    record::{SERIES, Statistic, UNIT},
    report::Report,
};

/// A bound, such as `p99<5ms` on whole units of work, `rng_queue.p50<=1ms` on a stage, or
/// `hashes_per_second>1000`.
#[derive(Clone, Debug)]
pub struct Expectation {
    text: String,
    pub(crate) quantity: Quantity,
    holds: Operator,
    bound: f64,
}

/// Compares a value with the bound.
type Operator = fn(&f64, &f64) -> bool;

/// What a bound is on.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Quantity {
    Hashes,
    HashesPerSecond,
    CpuSecondsPerHash,
    Errors,
    NotDone,
    /// Of the two variants of a comparison.
    Ratio,
    /// Of a series.
    #[value(skip)]
    Latency(&'static str, Statistic),
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = "p99<5ms, rng_queue.p50<=1ms, errors=0 or hashes_per_second>1000";
        parse(text).ok_or_else(|| chassis::invalid_value(text, "an expectation", example))
    }
}

fn parse(text: &str) -> Option<Expectation> {
    let signs = ['<', '=', '>'];
    let (start, end) = (text.find(signs)?, text.rfind(signs)? + 1);
    let holds: Operator = match &text[start..end] {
        "<" => f64::lt,
        "<=" => f64::le,
        ">" => f64::gt,
        ">=" => f64::ge,
        "=" | "==" => f64::eq,
        _ => return None,
    };
    let (quantity, bound) = (quantity(text[..start].trim())?, text[end..].trim());
    let time = || Some(chassis::parse_duration(bound).ok()?.as_secs_f64());
    let number = || bound.parse().ok().filter(|bound: &f64| bound.is_finite());
    let bound = match quantity {
        Quantity::Latency(..) => time()?,
        // The name gives the unit, so a plain number is clear.
        Quantity::CpuSecondsPerHash => number().or_else(time)?,
        _ => number()?,
    };
    Some(Expectation { text: text.trim().to_owned(), quantity, holds, bound })
}

fn quantity(name: &str) -> Option<Quantity> {
    Quantity::from_str(name, false).ok().or_else(|| {
        // `p99.9` has a point as well, but no series before it.
        let (series, statistic) = SERIES
            .into_iter()
            .find_map(|series| Some((series, name.strip_prefix(series)?.strip_prefix('.')?)))
            .unwrap_or((UNIT, name));
        Some(Quantity::Latency(series, statistic_of(statistic)?))
    })
}

fn statistic_of(name: &str) -> Option<Statistic> {
    match name {
        "mean" => Some(Statistic::Mean),
        "max" => Some(Statistic::Percentile(100.0)),
        _ => {
            let percent = name.strip_prefix('p')?.parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(Statistic::Percentile(percent))
        }
    }
}

impl Quantity {
    /// The value in a report; NaN if nothing was measured.
    pub(crate) fn of(self, report: &Report) -> f64 {
        match self {
            Self::Hashes => report.data.hashes as f64,
            Self::HashesPerSecond => report.hashes_per_second,
            Self::CpuSecondsPerHash => report.cpu_seconds_per_hash,
            Self::Errors => report.errors.values().sum::<u64>() as f64,
            Self::NotDone => report.run.not_done as f64,
            Self::Ratio => f64::NAN,
            Self::Latency(series, statistic) => {
                let latencies = report.data.latencies.get(series);
                latencies.map_or(f64::NAN, |latencies| latencies.seconds(statistic))
            }
        }
    }
}

impl Expectation {
    /// Whether it is a bound on the ratio of a comparison, not on a load.
    pub(crate) fn is_of_ratio(&self) -> bool {
        self.quantity == Quantity::Ratio
    }

    /// How a measured value violates this expectation, if it does.
    pub(crate) fn violation(&self, value: f64) -> Option<String> {
        if !value.is_finite() {
            return Some(format!("expected {}, but nothing was measured", self.text));
        }
        let shown = match self.quantity {
            Quantity::Latency(..) => format!("{:.3}ms", value * 1e3),
            Quantity::CpuSecondsPerHash => format!("{:.3}us", value * 1e6),
            _ => format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        };
        (!(self.holds)(&value, &self.bound))
            .then(|| format!("expected {}, but it was {shown}", self.text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use store::Stage;
    use worker::Peer;

    use super::*;

    fn quantity_and_bound(text: &str) -> (Quantity, f64) {
        let expectation: Expectation = text.parse().unwrap();
        (expectation.quantity, expectation.bound)
    }

    #[test]
    fn bounds_apply_to_latencies_of_stages_and_to_numbers() {
        let p = Statistic::Percentile;
        let unit = |percent| Quantity::Latency(UNIT, p(percent));
        assert_eq!(quantity_and_bound("p99<5ms"), (unit(99.0), 0.005));
        assert_eq!(quantity_and_bound("unit.p99<5ms"), (unit(99.0), 0.005));
        assert_eq!(quantity_and_bound("p99.9 < 1s"), (unit(99.9), 1.0));
        let queue = Quantity::Latency("rng_queue", p(99.9));
        assert_eq!(quantity_and_bound("rng_queue.p99.9<=20us"), (queue, 0.00002));
        let network = Quantity::Latency("network", p(100.0));
        assert_eq!(quantity_and_bound("network.max>1ms").0, network);
        assert_eq!(quantity_and_bound("errors=0"), (Quantity::Errors, 0.0));
        assert_eq!(quantity_and_bound("not_done=0"), (Quantity::NotDone, 0.0));
        for seconds in ["0.00005", "5e-5", "50us"] {
            let expectation = format!("cpu_seconds_per_hash<{seconds}");
            assert_eq!(quantity_and_bound(&expectation), (Quantity::CpuSecondsPerHash, 0.00005));
        }
        assert_eq!(
            quantity_and_bound("hashes_per_second>=1e3"),
            (Quantity::HashesPerSecond, 1000.0)
        );
    }

    #[test]
    fn every_request_and_stage_has_a_series_that_expectations_accept() {
        let parts = Stage::ALL.map(Stage::name).into_iter().chain(Peer::ALL.map(Peer::name));
        let names = BTreeSet::from_iter(parts.chain([UNIT]));
        assert_eq!(BTreeSet::from(SERIES), names);
        for series in SERIES {
            let quantity = Quantity::Latency(series, Statistic::Mean);
            assert_eq!(quantity_and_bound(&format!("{series}.mean<1s")), (quantity, 1.0));
        }
    }

    #[test]
    fn text_that_is_not_a_bound_is_refused_with_an_example() {
        for text in [
            "",
            "p99",
            "p99<",
            "p99<5",
            "p101<1s",
            "speed>1",
            "nowhere.p50<1s",
            "errors<x",
            "errors<1s",
        ] {
            let error = text.parse::<Expectation>().unwrap_err();
            assert!(error.contains("p99<5ms"), "{text}: {error}");
        }
    }
}
