//! The table and the picture of the ladder.

use std::fmt::Write;

use crate::{
    figures::{median, number, range},
    ladder::{Kind, NO_NETWORK, ONE_LOOP, Outcome, YARDSTICK},
    turns::Row,
};

/// A table for people. Rows are compared turn by turn, since the turns of a round are neighbours.
pub(crate) fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let turns = |name| {
        let row = results.iter().find(|(row, _)| row.name == name);
        row.map_or(&[][..], |(_, outcomes)| outcomes)
    };
    let ratios = |outcomes: &[Outcome], name, of: &dyn Fn(&Outcome) -> f64| -> Vec<f64> {
        outcomes.iter().zip(turns(name)).map(|(ours, other)| of(ours) / of(other)).collect()
    };
    let speed = |outcome: &Outcome| outcome.hashes_per_second;
    let cpu = |outcome: &Outcome| outcome.cpu_per_hash;
    let p50 = |outcome: &Outcome| outcome.p50.unwrap_or(f64::NAN);
    let mut table = String::from(
        "| step | hashes/s | of no network | CPU per hash, µs | of bare sockets | p50 of a unit, µs | of one loop \
         on bare sockets | memory of worker, rng, hasher, redis, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let cells = [
            row.name.clone(),
            range(outcomes, speed),
            number(median(&ratios(outcomes, NO_NETWORK, &speed), |ratio| *ratio)),
            range(outcomes, cpu),
            range(&ratios(outcomes, YARDSTICK, &cpu), |ratio| *ratio),
            range(outcomes, p50),
            range(&ratios(outcomes, ONE_LOOP, &p50), |ratio| *ratio),
            memory(outcomes),
        ];
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

/// The most that each program had in any turn, in MB.
fn memory(outcomes: &[Outcome]) -> String {
    let programs = outcomes.first().map_or(0, |outcome| outcome.memory.len());
    let most = |program: usize| outcomes.iter().map(|outcome| outcome.memory[program]).max();
    let most = (0..programs).filter_map(most).map(|bytes| format!("{:.1}", bytes as f64 / 1e6));
    most.collect::<Vec<_>>().join(", ")
}

/// Bars of hashes per second, each gridline ten times the one before.
pub(crate) fn picture(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
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
        let speed = median(outcomes, |outcome| outcome.hashes_per_second);
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
