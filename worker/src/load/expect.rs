//! Expectations: bounds on what a report says.

use std::str::FromStr;

use crate::load::{
    record::UNIT,
    report::{Report, STAGES},
};

/// A bound, such as `p99<5ms` of a whole unit of work, `rng_queue.p50<=1ms` of a stage, or
/// `hashes_per_second>1000`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    text: String,
    quantity: Quantity,
    comparison: Comparison,
    bound: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Quantity {
    Hashes,
    HashesPerSecond,
    CpuPerHash,
    Errors,
    NotDone,
    /// Of two sides that are compared.
    Ratio,
    Latency(&'static str, Statistic),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Mean,
    Max,
    Percentile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let right = "p99<5ms, rng_queue.p50<=1ms, errors=0 or hashes_per_second>1000";
        parse(text).ok_or_else(|| chassis::wrong(text, "an expectation", right))
    }
}

fn parse(text: &str) -> Option<Expectation> {
    let operator = text.find(['<', '=', '>'])?;
    let (name, rest) = text.split_at(operator);
    let operators = [
        ("<=", Comparison::AtMost),
        ("<", Comparison::Less),
        (">=", Comparison::AtLeast),
        (">", Comparison::More),
        ("==", Comparison::Equal),
        ("=", Comparison::Equal),
    ];
    let found = operators
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)));
    let (comparison, bound) = found?;
    let quantity = quantity(name.trim())?;
    let time = || Some(humantime::parse_duration(bound.trim()).ok()?.as_secs_f64());
    let number = || bound.trim().parse().ok().filter(|bound: &f64| bound.is_finite());
    let bound = match quantity {
        Quantity::Latency(..) => time()?,
        // Its name says seconds.
        Quantity::CpuPerHash => number().or_else(time)?,
        _ => number()?,
    };
    Some(Expectation { text: text.trim().to_owned(), quantity, comparison, bound })
}

fn quantity(name: &str) -> Option<Quantity> {
    Some(match name {
        "hashes" => Quantity::Hashes,
        "hashes_per_second" => Quantity::HashesPerSecond,
        "cpu_seconds_per_hash" => Quantity::CpuPerHash,
        "errors" => Quantity::Errors,
        "not_done" => Quantity::NotDone,
        "ratio" => Quantity::Ratio,
        _ => {
            let (stage, statistic) = name
                .split_once('.')
                .filter(|(stage, _)| {
                    // The point of `p99.9` is another one.
                    STAGES.contains(stage)
                })
                .unwrap_or((UNIT, name));
            let stage = STAGES.into_iter().find(|known| *known == stage)?;
            Quantity::Latency(stage, statistic_of(statistic)?)
        }
    })
}

fn statistic_of(name: &str) -> Option<Statistic> {
    match name {
        "mean" => Some(Statistic::Mean),
        "max" => Some(Statistic::Max),
        _ => {
            let percent = name.strip_prefix('p')?.parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(Statistic::Percentile(percent))
        }
    }
}

impl Expectation {
    /// Whether it is about the two sides of a comparison together.
    pub(crate) fn is_of_comparison(&self) -> bool {
        self.quantity == Quantity::Ratio
    }

    /// Why it does not hold of a load; nothing if it does, or if it is of a comparison.
    pub(crate) fn broken(&self, report: &Report) -> Option<String> {
        if self.is_of_comparison() { None } else { self.broken_by(self.quantity.of(report)) }
    }

    /// Why it does not hold of the ratio of a comparison; nothing if it does, or if it is of a load.
    pub(crate) fn broken_ratio(&self, ratio: Option<f64>) -> Option<String> {
        if self.is_of_comparison() { self.broken_by(ratio) } else { None }
    }

    fn broken_by(&self, value: Option<f64>) -> Option<String> {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return Some(format!("expected {}, but nothing was measured", self.text));
        };
        let holds = match self.comparison {
            Comparison::Less => value < self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::Equal => value == self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::More => value > self.bound,
        };
        let shown = match self.quantity {
            Quantity::Latency(..) => format!("{:.3}ms", value * 1e3),
            Quantity::CpuPerHash => format!("{:.3}us", value * 1e6),
            _ => format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        };
        (!holds).then(|| format!("expected {}, but it was {shown}", self.text))
    }
}

impl Quantity {
    fn of(&self, report: &Report) -> Option<f64> {
        Some(match self {
            Self::Hashes => report.hashes as f64,
            Self::HashesPerSecond => report.hashes_per_second,
            Self::CpuPerHash => report.cpu_seconds_per_hash,
            Self::Errors => report.errors.values().sum::<u64>() as f64,
            Self::NotDone => report.not_done as f64,
            Self::Ratio => return None,
            Self::Latency(stage, statistic) => {
                let latency = report.latencies.get(stage)?;
                match statistic {
                    Statistic::Mean => latency.mean,
                    Statistic::Max => latency.max,
                    Statistic::Percentile(percent) => latency.percentile(*percent),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity_and_bound(text: &str) -> (Quantity, f64) {
        let expectation: Expectation = text.parse().unwrap();
        (expectation.quantity, expectation.bound)
    }

    #[test]
    fn bounds_are_on_times_of_stages_and_on_numbers() {
        let p = Statistic::Percentile;
        assert_eq!(quantity_and_bound("p99<5ms"), (Quantity::Latency(UNIT, p(99.0)), 0.005));
        assert_eq!(quantity_and_bound("p99.9 < 1s"), (Quantity::Latency(UNIT, p(99.9)), 1.0));
        let queue = Quantity::Latency("rng_queue", p(99.9));
        assert_eq!(quantity_and_bound("rng_queue.p99.9<=20us"), (queue, 0.00002));
        assert_eq!(
            quantity_and_bound("network.max>1ms").0,
            Quantity::Latency("network", Statistic::Max)
        );
        assert_eq!(quantity_and_bound("errors=0"), (Quantity::Errors, 0.0));
        assert_eq!(quantity_and_bound("not_done=0"), (Quantity::NotDone, 0.0));
        for seconds in ["0.00005", "5e-5", "50us"] {
            let expectation = format!("cpu_seconds_per_hash<{seconds}");
            assert_eq!(quantity_and_bound(&expectation), (Quantity::CpuPerHash, 0.00005));
        }
        assert_eq!(
            quantity_and_bound("hashes_per_second>=1e3"),
            (Quantity::HashesPerSecond, 1000.0)
        );
    }

    #[test]
    fn what_is_no_bound_is_refused_with_an_example() {
        for wrong in [
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
            let error = wrong.parse::<Expectation>().unwrap_err();
            assert!(error.contains("p99<5ms"), "{wrong}: {error}");
        }
    }
}
