//! The table and the picture of the ladder.

use std::fmt::Write;

use crate::ladder::{Outcome, Row, YARDSTICK};

/// Median, smallest and largest.
fn spread(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = outcomes.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => (f64::NAN, f64::NAN, f64::NAN),
        [smallest, ..] => (values[values.len() / 2], smallest, values[values.len() - 1]),
    }
}

/// A number with three significant digits at least.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".to_owned(),
        100.0.. => {
            let digits = format!("{value:.0}");
            let groups: Vec<_> =
                digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            groups.join(",")
        }
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A table for people: medians, and in brackets the smallest and the largest.
pub(crate) fn markdown(results: &[(Row, Vec<Outcome>)]) -> String {
    let cpu = |outcome: &Outcome| outcome.cpu_per_hash;
    let yardstick = results.iter().find(|(row, _)| row.name == YARDSTICK);
    let yardstick = yardstick.map_or(f64::NAN, |(_, outcomes)| spread(outcomes, cpu).0);
    let mut table = String::from(
        "| step | hashes/s | CPU per hash, µs | of bare sockets | p50 of a unit, µs | memory, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let (speed, slowest, fastest) = spread(outcomes, |outcome| outcome.hashes_per_second);
        let (cpu, least, most) = spread(outcomes, cpu);
        let p50 = spread(outcomes, |outcome| outcome.p50.unwrap_or(f64::NAN)).0;
        let memory = spread(outcomes, |outcome| outcome.memory as f64 / 1e6).0;
        let [speed, slowest, fastest] = [speed, slowest, fastest].map(number);
        let (ratio, p50) = (number(cpu / yardstick), number(p50));
        let [cpu, least, most] = [cpu, least, most].map(number);
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {speed} ({slowest} to {fastest}) | {cpu} ({least} to {most}) | {ratio} | {p50} | {memory:.1} |",
            row.name
        );
    }
    table
}

/// Bars of hashes per second, each gridline ten times the one before.
pub(crate) fn picture(results: &[(Row, Vec<Outcome>)]) -> String {
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
    for ((row, outcomes), number_of) in results.iter().zip(0..) {
        let speed = spread(outcomes, |outcome| outcome.hashes_per_second).0;
        let (y, width) = (12.0 + step * f64::from(number_of), decade * speed.max(1.0).log10());
        let ours = !row.name.starts_with("bare") && !row.name.starts_with("no network");
        let colour = if ours { "#2a78b8" } else { "#b5b5b5" };
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
