//! Numbers, ages and names.

use store::Part;

/// Shown instead of an unknown number.
pub(crate) const NO_NUMBER: &str = "–";

/// A number with one decimal if it is below 100.
pub(crate) fn decimal(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { thousands(rate.round() as u64) }
}

/// Hashes per second in a sentence.
pub(crate) fn short_rate(rate: Option<f64>) -> String {
    let rate = rate.unwrap_or_default();
    let text = if rate < 9.95 { format!("{rate:.1}") } else { thousands(rate.round() as u64) };
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A number with commas between groups of three digits.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let threes = digits.as_bytes().rchunks(3).map(String::from_utf8_lossy);
    threes.rev().collect::<Vec<_>>().join(",")
}

/// A share of one in percent.
pub(crate) fn percent(share: Option<f64>) -> String {
    or_dash(share, |share| format!("{:.0}\u{a0}%", share * 100.0))
}

/// A number, or a dash if it is unknown.
pub(crate) fn or_dash<T>(number: Option<T>, format: impl Fn(T) -> String) -> String {
    number.map_or(NO_NUMBER.to_owned(), format)
}

/// The name of a part.
pub(crate) fn part_name(part: Part) -> &'static str {
    match part {
        Part::Rng => "rng",
        Part::Hasher => "hasher",
        Part::Redis => "redis",
    }
}

/// Seconds as milliseconds.
pub(crate) fn ms(seconds: f64) -> String {
    let ms = seconds * 1000.0;
    match ms {
        ..0.95 => format!("{ms:.2}"),
        ..9.95 => format!("{ms:.1}"),
        _ => thousands(ms.round() as u64),
    }
}

/// A duration in seconds or minutes.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds.max(0.0) {
        seconds @ ..120.0 => format!("{seconds:.0}\u{a0}s"),
        seconds => format!("{:.0}\u{a0}min", (seconds / 60.0).floor()),
    }
}

/// How long ago a coin was found.
pub(crate) fn coarse_age(seconds: f64) -> String {
    match seconds {
        ..10.0 => "just now".to_owned(),
        ..120.0 => format!("{:.0}\u{a0}s ago", (seconds / 10.0).floor() * 10.0),
        _ => format!("{} ago", duration(seconds)),
    }
}

/// "1 worker", "2 workers".
pub(crate) fn plural(number: usize, name: &str) -> String {
    format!("{} {name}{}", thousands(number as u64), if number == 1 { "" } else { "s" })
}

/// Cuts a text from the store after this number of characters.
pub(crate) fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_formatted() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 99.94, 99.96, 1234.5].map(decimal), ["0.0", "99.9", "100", "1,235"]);
        assert_eq!(
            [0.0, 3.33, 9.96, 32.4, 1e4].map(|rate| short_rate(Some(rate))),
            ["0", "3.3", "10", "32", "10,000"]
        );
        assert_eq!(
            [0.0, 0.00003, 0.0012, 0.69, 1.5].map(ms),
            ["0.00", "0.03", "1.2", "690", "1,500"]
        );
        assert_eq!(
            [-1.0, 0.4, 119.0, 120.0].map(duration).map(plain),
            ["0 s", "0 s", "119 s", "2 min"]
        );
        assert_eq!(
            [0.0, 9.0, 27.0, 300.0].map(coarse_age).map(plain),
            ["just now", "just now", "20 s ago", "5 min ago"]
        );
        assert_eq!([percent(Some(0.976)), percent(None)], ["98\u{a0}%", "–"]);
        assert_eq!(
            [0, 1, 1200].map(|number| plural(number, "rng")),
            ["0 rngs", "1 rng", "1,200 rngs"]
        );
    }
}
