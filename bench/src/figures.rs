//! Medians and ranges of the outcomes of several rounds, and numbers as text.

/// The median (the midpoint of the two middle values if their number is even), the minimum and the
/// maximum.
fn spread<T>(outcomes: &[T], figure: impl Fn(&T) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = outcomes.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => (f64::NAN, f64::NAN, f64::NAN),
        [minimum, ..] => {
            let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            (f64::midpoint(lower, upper), minimum, values[values.len() - 1])
        }
    }
}

/// The median of a figure.
pub(crate) fn median<T>(outcomes: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    spread(outcomes, figure).0
}

/// The median, with the minimum and the maximum in parentheses.
pub(crate) fn range<T>(outcomes: &[T], figure: impl Fn(&T) -> f64) -> String {
    let (median, minimum, maximum) = spread(outcomes, figure);
    if median.is_nan() {
        return number(median);
    }
    let [median, minimum, maximum] = [median, minimum, maximum].map(number);
    format!("{median} ({minimum} to {maximum})")
}

/// A number with at least three significant digits but at most three decimals.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".to_owned(),
        100.0.. => thousands(value),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

/// A whole number with thousands separators.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
