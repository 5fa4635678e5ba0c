//! Figures over several turns, as people read them.

/// Median, which is between two values when their number is even, smallest and largest.
fn spread<T>(outcomes: &[T], of: impl Fn(&T) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = outcomes.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => (f64::NAN, f64::NAN, f64::NAN),
        [smallest, ..] => {
            let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            (f64::midpoint(lower, upper), smallest, values[values.len() - 1])
        }
    }
}

/// The median of a figure.
pub(crate) fn median<T>(outcomes: &[T], of: impl Fn(&T) -> f64) -> f64 {
    spread(outcomes, of).0
}

/// The median, and in brackets the smallest and the largest.
pub(crate) fn range<T>(outcomes: &[T], of: impl Fn(&T) -> f64) -> String {
    let (median, smallest, largest) = spread(outcomes, of);
    if median.is_nan() {
        return number(median);
    }
    let [median, smallest, largest] = [median, smallest, largest].map(number);
    format!("{median} ({smallest} to {largest})")
}

/// A number with three significant digits at least, or what is left of them after three decimals.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".to_owned(),
        100.0.. => group(value),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

/// A whole number, in groups of three digits.
pub(crate) fn group(value: f64) -> String {
    let digits = format!("{value:.0}");
    let threes = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    threes.collect::<Vec<_>>().join(",")
}
