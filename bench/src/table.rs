//! The table and the picture of the ladder.

use std::fmt::Write;

use crate::{
    figures::{median, number, range},
    ladder::{Kind, Outcome, YARDSTICK},
    turns::Row,
};

/// A table for people.
pub(crate) fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let cpu = |outcome: &Outcome| outcome.cpu_per_hash;
    let yardstick = results.iter().find(|(row, _)| row.name == YARDSTICK);
    let yardstick = yardstick.map_or(f64::NAN, |(_, outcomes)| median(outcomes, cpu));
    let mut table = String::from(
        "| step | hashes/s | CPU per hash, µs | of bare sockets | p50 of a unit, µs | memory, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let speed = range(outcomes, |outcome| outcome.hashes_per_second);
        let ratio = number(median(outcomes, cpu) / yardstick);
        let p50 = number(median(outcomes, |outcome| outcome.p50.unwrap_or(f64::NAN)));
        let memory = median(outcomes, |outcome| outcome.memory as f64 / 1e6);
        let (name, cpu) = (&row.name, range(outcomes, cpu));
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {name} | {speed} | {cpu} | {ratio} | {p50} | {memory:.1} |");
    }
    table
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
