//! Coordinates of the chart, and paths in them.

use crate::history::{GAP, Sample};

/// x counts seconds from the start of the previous hour, so that points keep their coordinates from
/// second to second.
const ORIGIN_STEP: u64 = 3600;
/// How far the curve may rise above the top gridline, so that jitter does not change the scale.
const HEADROOM: f64 = 1.04;
/// The maximum number of gridlines above zero.
const MAX_TICKS: f64 = 4.0;

/// Converts times and speeds to coordinates.
pub(crate) struct Plot {
    /// Seconds since the Unix epoch at the right edge, at x = 0, and from the left to the right edge.
    pub(crate) now: f64,
    pub(crate) origin: f64,
    pub(crate) span: f64,
    /// The distance of gridlines, and their number above zero.
    tick: f64,
    ticks: u32,
}

impl Plot {
    /// A plot of the last `span` seconds, up to a round speed above `high`.
    pub(crate) fn new(now: f64, span: f64, high: f64) -> Self {
        let origin = (now as u64 / ORIGIN_STEP).saturating_sub(1) * ORIGIN_STEP;
        let (tick, ticks) = scale(high);
        Self { now, origin: origin as f64, span, tick, ticks }
    }

    /// The speed at the top gridline.
    pub(crate) fn top(&self) -> f64 {
        self.tick * f64::from(self.ticks)
    }

    /// One unit per second.
    pub(crate) fn x(&self, at: f64) -> f64 {
        at.floor() - self.origin
    }

    /// From 0 at the top to 1000 at the bottom.
    pub(crate) fn y(&self, rate: f64) -> f64 {
        1000.0 - rate / self.top() * 1000.0
    }

    /// In percent from the left.
    pub(crate) fn left(&self, at: f64) -> f64 {
        (100.0 - (self.now - at) / self.span * 100.0).min(100.0)
    }

    /// The gridlines: percent from the top, and label.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let speeds = (0..=self.ticks).map(|i| f64::from(i) * self.tick);
        speeds.map(|speed| (self.y(speed) / 10.0, compact(speed))).collect()
    }

    /// The capacity as a stepped line, with a point where it changes. A capacity above the top is
    /// left out.
    pub(crate) fn capacity(&self, samples: &[&Sample]) -> Path {
        let height = |sample: &Sample| {
            let capacity = sample.capacity.total().filter(|total| *total <= self.top());
            capacity.map(|capacity| self.y(capacity).round())
        };
        let is_continuous = |a: &Sample, b: &Sample| {
            b.at - a.at <= GAP && height(a).is_some() == height(b).is_some()
        };
        let mut path = Path::default();
        for piece in samples.chunk_by(|a, b| is_continuous(a, b)) {
            let mut points =
                piece.iter().filter_map(|sample| Some((self.x(sample.at), height(sample)?)));
            let Some((mut end, mut level)) = points.next() else { continue };
            path.push("M", end, level);
            for (x, y) in points {
                if y != level {
                    path.push("", x, level);
                    path.push("", x, y);
                }
                (end, level) = (x, y);
            }
            path.push("", end, level);
        }
        path
    }
}

/// A path with one point per line.
#[derive(Default)]
pub(crate) struct Path(pub(crate) String);

impl Path {
    /// Adds a line to a point, or with the command `M` a new start.
    pub(crate) fn push(&mut self, command: &str, x: f64, y: f64) {
        self.0 += &format!("{command}{x:.0} {y:.0}\n");
    }
}

/// A round distance of gridlines, and the number of them that reach `high`.
fn scale(high: f64) -> (f64, u32) {
    let high = (high / HEADROOM).max(1.0);
    let unit = 10f64.powf((high / MAX_TICKS).log10().floor());
    let mut ticks = [1.0, 2.0, 2.5, 5.0].into_iter().map(|round| round * unit);
    let tick = ticks.find(|tick| tick * MAX_TICKS >= high).unwrap_or(10.0 * unit);
    (tick, (high / tick).ceil().min(MAX_TICKS) as u32)
}

/// A short label for an axis.
fn compact(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        let labels = |high| {
            let ticks = Plot::new(0.0, 60.0, high).ticks().into_iter();
            ticks.map(|(_, label)| label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(0.0), "0 0.25 0.5 0.75 1");
        assert_eq!(labels(3.4), "0 1 2 3 4");
        assert_eq!(labels(6.6), "0 2 4 6 8");
        assert_eq!(labels(10.1), "0 2.5 5 7.5 10");
        assert_eq!(labels(19.6), "0 5 10 15 20");
        assert_eq!(labels(1_100.0), "0 500 1k 1.5k");
        assert_eq!(labels(2_400_000.0), "0 1M 2M 3M");
    }

    #[test]
    fn most_points_keep_their_coordinates() {
        let (before, after) = (Plot::new(7205.0, 300.0, 3.0), Plot::new(7206.0, 300.0, 3.0));
        assert_eq!((before.x(7200.5), after.x(7200.5)), (3600.0, 3600.0));
        assert!(before.left(7200.5) > after.left(7200.5));
    }
}
