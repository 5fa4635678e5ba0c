//! The table and the chart of the ladder.

use std::fmt::Write;

use crate::{
    figures::{median, number, range},
    rounds::Row,
    steps::{BARE_SOCKETS, Kind, NO_NETWORK, ONE_LOOP, Outcome},
};

/// The table as Markdown. Rows are compared round by round, because runs of the same round are
/// close in time.
pub(crate) fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let outcomes_of = |name| {
        let row = results.iter().find(|(row, _)| row.name == name);
        row.map_or(&[][..], |(_, outcomes)| outcomes)
    };
    let ratios = |outcomes: &[Outcome], baseline, figure: &dyn Fn(&Outcome) -> f64| -> Vec<f64> {
        let pairs = outcomes.iter().zip(outcomes_of(baseline));
        pairs.map(|(outcome, baseline)| figure(outcome) / figure(baseline)).collect()
    };
    let speed = |outcome: &Outcome| outcome.hashes_per_second;
    let cpu = |outcome: &Outcome| outcome.cpu_per_hash;
    let p50 = |outcome: &Outcome| outcome.p50.unwrap_or(f64::NAN);
    let mut table = String::from(
        "| step | hashes/s | relative to no network | CPU per hash, µs | relative to bare sockets \
         | p50 of a unit, µs | relative to 1 loop on bare sockets \
         | peak memory of worker, rng, hasher, redis, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let cells = [
            row.name.clone(),
            range(outcomes, speed),
            number(median(&ratios(outcomes, NO_NETWORK, &speed), |ratio| *ratio)),
            range(outcomes, cpu),
            range(&ratios(outcomes, BARE_SOCKETS, &cpu), |ratio| *ratio),
            range(outcomes, p50),
            range(&ratios(outcomes, ONE_LOOP, &p50), |ratio| *ratio),
            memory(outcomes),
        ];
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

/// The peak memory of each program over all rounds, in MB.
fn memory(outcomes: &[Outcome]) -> String {
    let programs = outcomes.first().map_or(0, |outcome| outcome.memory.len());
    let peak = |program: usize| outcomes.iter().map(|outcome| outcome.memory[program]).max();
    let peaks = (0..programs).filter_map(peak).map(|bytes| format!("{:.1}", bytes as f64 / 1e6));
    peaks.collect::<Vec<_>>().join(", ")
}

/// A bar chart of hashes per second on a logarithmic scale, as SVG.
pub(crate) fn chart(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let (left, decade, step) = (240.0, 70.0, 26.0);
    let height = step * results.len() as f64 + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"900\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for power in 0..=8 {
        let (x, bottom) = (left + decade * power as f64, height - 24.0);
        let label = ["1", "10", "100", "1,000", "10,000", "100,000", "1 M", "10 M", "100 M"][power];
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 8V{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{label}</text>",
            height - 8.0
        );
    }
    for ((row, outcomes), index) in results.iter().zip(0..) {
        let speed = median(outcomes, |outcome| outcome.hashes_per_second);
        let (y, width) = (12.0 + step * f64::from(index), decade * speed.max(1.0).log10());
        let colour =
            if matches!(row.kind, Kind::DockerCoins { .. }) { "#2a78b8" } else { "#b5b5b5" };
        let (text, end) = (y + 14.0, left + width + 6.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\" fill=\"#222\">{}</text>\
             <rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{end:.1}\" y=\"{text}\" fill=\"#222\">{}/s</text>",
            left - 8.0,
            row.name,
            number(speed)
        );
    }
    svg + "</svg>\n"
}
