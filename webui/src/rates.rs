//! Estimates rates from counters: of workers, rngs, stages and the total.

use std::collections::VecDeque;

/// Rates are measured over this time or since the last change, whichever is shorter, in seconds.
pub(crate) const WINDOW: f64 = 15.0;
/// The minimum time between the first and the last point, in seconds: three points, one second
/// apart.
pub(crate) const MIN_WINDOW: f64 = 1.9;
/// A larger increase within a second is nonsense.
const MAX_INCREASE: f64 = 1e12;

/// The recent points of a counter.
#[derive(Default)]
pub(crate) struct Series {
    /// Time in seconds and count, oldest first.
    points: VecDeque<(f64, f64)>,
}

impl Series {
    /// Adds an increase of the counter since the last point.
    pub(crate) fn add(&mut self, at: f64, increase: f64) {
        let (last, count) = self.points.back().copied().unwrap_or((f64::MIN, 0.0));
        if at < last {
            self.points.clear();
        }
        if at != last {
            // Counters come from the store, so they may be nonsense.
            let increase = if increase > 0.0 { increase.min(MAX_INCREASE) } else { 0.0 };
            self.points.push_back((at, count + increase));
        }
        while self.points.get(1).is_some_and(|(second, _)| *second <= at - WINDOW) {
            self.points.pop_front();
        }
    }

    /// The increase per second since a time, if at least `min` seconds are known: the slope of the
    /// line that fits best (least squares), because single counts arrive in lumps.
    pub(crate) fn rate(&self, since: f64, min: f64) -> Option<f64> {
        let points = self.points.iter().filter(|(at, _)| *at >= since);
        let ((first, start), (last, _)) = (points.clone().next()?, points.clone().next_back()?);
        if last - first < min {
            return None;
        }
        let middle =
            points.clone().map(|(at, _)| at - first).sum::<f64>() / points.clone().count() as f64;
        let (mut rise, mut spread) = (0.0, 0.0);
        for (at, count) in points {
            let distance = at - first - middle;
            rise += distance * (count - start);
            spread += distance * distance;
        }
        Some((rise / spread).max(0.0))
    }

    /// Whether there are fewer than two points.
    pub(crate) fn is_short(&self) -> bool {
        self.points.len() < 2
    }

    /// Whether the counter has not changed within the window.
    pub(crate) fn is_constant(&self) -> bool {
        self.points.front().map(|(_, count)| count) == self.points.back().map(|(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(counts: impl IntoIterator<Item = (f64, f64)>) -> Series {
        let mut series = Series::default();
        let mut before = 0.0;
        for (at, count) in counts {
            series.add(at, count - before);
            before = count;
        }
        series
    }

    #[test]
    fn a_constant_rate_is_exact_and_one_of_lumps_is_steady() {
        let exact = series((0..60).map(|second| (f64::from(second), 10.0 * f64::from(second))));
        assert!((exact.rate(0.0, MIN_WINDOW).unwrap() - 10.0).abs() < 1e-9);
        // A worker with default settings: heartbeats have whole units of 0.303 s.
        for second in 20..300 {
            let units = |second: i32| (f64::from(second), (f64::from(second) / 0.303).floor());
            let rate = series((0..=second).map(units)).rate(0.0, MIN_WINDOW).unwrap();
            assert!((rate - 3.3).abs() < 0.05, "{rate} after {second} s");
        }
    }

    #[test]
    fn a_rate_starts_again_after_a_change() {
        let counts = (0..40).map(|second| (f64::from(second), f64::from((second - 20).max(0))));
        let series = series(counts);
        assert_eq!(series.rate(39.0, MIN_WINDOW), None);
        assert_eq!(series.rate(38.0, MIN_WINDOW), None);
        assert_eq!(series.rate(37.0, MIN_WINDOW), Some(1.0));
    }

    #[test]
    fn only_the_window_is_stored_and_nonsense_gives_no_infinite_rate() {
        let mut series = series((0..1000).map(|second| (f64::from(second), 0.0)));
        assert!(series.points.len() <= WINDOW as usize + 2 && series.is_constant());
        for increase in [f64::MAX, f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
            series.add(series.points.back().unwrap().0 + 1.0, increase);
            assert!(series.rate(0.0, MIN_WINDOW).is_some_and(f64::is_finite), "{increase}");
        }
        // The clock went back.
        series.add(5.0, 1.0);
        assert_eq!(series.points.len(), 1);
    }
}
