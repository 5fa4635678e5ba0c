//! The speed over time: a slope fitted to the counters, scaled to the chart.

use crate::history::Sample;

/// Readings further apart than this many seconds are a gap.
pub(crate) const GAP: f64 = 3.0;
/// How many seconds the chart looks back.
const SPAN: f64 = 300.0;
/// How many seconds of readings are behind each speed.
const WINDOW: f64 = 10.0;
/// A speed from fewer seconds than this would be noise.
const SHORTEST: f64 = 6.0;
/// The curve may rise a little above the top gridline, or jitter around a round speed would change the scale.
const HEADROOM: f64 = 1.04;

/// A moment in seconds since the Unix epoch, and the hashes per second up to it.
pub(crate) type Speed = (f64, f64);

/// The speed at each reading, in runs that end where readings are missing or the counters went back.
pub(crate) fn speeds(samples: &[Sample]) -> Vec<Vec<Speed>> {
    samples.chunk_by(continues).map(run).collect()
}

fn continues(before: &Sample, after: &Sample) -> bool {
    let counted = after.hashes >= before.hashes && after.coins >= before.coins;
    counted && (0.0..=GAP).contains(&(after.now - before.now))
}

fn run(samples: &[Sample]) -> Vec<Speed> {
    let speed = |(last, sample): (usize, &Sample)| {
        let first = samples.partition_point(|other| other.now < sample.now - WINDOW);
        Some((sample.now, slope(&samples[first..=last])?))
    };
    samples.iter().enumerate().filter_map(speed).collect()
}

/// Least squares: workers count in lumps, and the difference of the two ends alone would jump with each lump.
fn slope(window: &[Sample]) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if last.now - first.now < SHORTEST {
        return None;
    }
    let times = window.iter().map(|sample| sample.now - first.now);
    let middle = times.clone().sum::<f64>() / window.len() as f64;
    let (mut rise, mut spread) = (0.0, 0.0);
    for (sample, time) in window.iter().zip(times) {
        let hashes = sample.hashes.saturating_sub(first.hashes);
        rise += (time - middle) * hashes as f64;
        spread += (time - middle).powi(2);
    }
    Some((rise / spread).max(0.0))
}

/// What the template draws.
pub(crate) struct Chart {
    /// The curve in a box of 3000 by 1000, one piece for each run.
    pub line: String,
    /// The same, closed along the bottom.
    pub area: String,
    /// Gridlines: percent from the top, and label.
    pub ticks: Vec<(f64, String)>,
    /// The newest point, in percent from the left and from the top.
    pub end: Option<(f64, f64)>,
    /// The highest speed drawn.
    pub high: Option<f64>,
}

impl Chart {
    /// Scales the speeds of the last five minutes to the chart.
    pub(crate) fn new(speeds: &[Vec<Speed>], now: f64) -> Self {
        let recent = |speed: &&Speed| (-GAP..=SPAN).contains(&(now - speed.0));
        let drawn = speeds.iter().flatten().filter(recent);
        let high = drawn.map(|speed| speed.1).reduce(f64::max);
        let (step, steps) = scale(high.unwrap_or_default());
        let place = |(at, rate): &Speed| {
            let age = (now - at).max(0.0);
            (100.0 - age / SPAN * 100.0, 100.0 - rate / (step * steps) * 100.0)
        };

        let (mut line, mut area, mut end) = (String::new(), String::new(), None);
        for run in speeds {
            let places: Vec<_> = run.iter().filter(recent).map(place).collect();
            let Some((left, _)) = places.first() else {
                continue;
            };
            let points = places.iter().map(|(x, y)| format!("{:.0} {:.0}", x * 30.0, y * 10.0));
            let path = format!("M{}", points.collect::<Vec<_>>().join(" "));
            area += &format!("{path}V1000H{:.0}Z", left * 30.0);
            line += &path;
            end = places.last().copied();
        }
        // Without a speed there is nothing to scale: the bottom line alone.
        let lines = if high.is_some() { steps as u32 } else { 0 };
        let tick = |i| (100.0 - f64::from(i) / steps * 100.0, compact(f64::from(i) * step));
        let ticks = (0..=lines).map(tick).collect();
        Chart { line, area, ticks, end, high }
    }
}

/// A round step, and how many of them (at most four) reach `high`.
fn scale(high: f64) -> (f64, f64) {
    let high = (high / HEADROOM).max(1.0);
    let unit = 10f64.powf((high / 4.0).log10().floor());
    let mut steps = [1.0, 2.0, 2.5, 5.0].into_iter().map(|round| round * unit);
    let step = steps.find(|step| step * 4.0 >= high).unwrap_or(10.0 * unit);
    (step, (high / step).ceil().min(4.0))
}

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

    /// One reading a second of a worker that adds 4 hashes every 1.2 s.
    fn lumpy() -> Vec<Sample> {
        let sample = |second: u64| Sample {
            now: 1_700_000_000.5 + second as f64,
            hashes: 1000 + second * 10 / 12 * 4,
            coins: 60,
        };
        (0..300).map(sample).collect()
    }

    fn drawn(samples: &[Sample]) -> Chart {
        let now = samples.last().map_or(0.0, |sample| sample.now);
        Chart::new(&speeds(samples), now)
    }

    #[test]
    fn lumps_do_not_show() {
        let speeds = speeds(&lumpy()).concat();
        assert_eq!(speeds.len(), 294);
        for speed in &speeds[4..] {
            assert!((speed.1 - 3.33).abs() < 0.2, "{speed:?}");
        }
    }

    #[test]
    fn steady_counting_is_exact() {
        let steady = lumpy()
            .into_iter()
            .enumerate()
            .map(|(i, sample)| Sample { hashes: u64::MAX - 3000 + 10 * i as u64, ..sample });
        let speeds = speeds(&steady.collect::<Vec<_>>()).concat();
        assert!(speeds.iter().all(|speed| (speed.1 - 10.0).abs() < 1e-6));
    }

    #[test]
    fn a_reset_starts_a_new_run() {
        let mut samples = lumpy();
        for sample in &mut samples[150..] {
            sample.hashes -= 1400;
        }
        let speeds = speeds(&samples);
        assert_eq!(speeds.iter().map(Vec::len).collect::<Vec<_>>(), [144, 144]);
        assert!(speeds.concat().iter().all(|speed| (2.8..4.1).contains(&speed.1)));
    }

    #[test]
    fn a_gap_is_neither_a_line_nor_zero() {
        let mut samples = lumpy();
        samples.drain(100..130);
        let chart = drawn(&samples);
        assert_eq!(chart.line.matches('M').count(), 2);
        assert_eq!(chart.area.matches('Z').count(), 2);
        let heights = chart.line.split(['M', ' ']).skip(2).step_by(2);
        assert!(heights.map(|y| y.parse::<u32>().unwrap()).all(|y| y < 500));
    }

    #[test]
    fn too_little_to_tell_is_no_speed() {
        let one = lumpy()[0];
        for samples in [vec![], vec![one], vec![one; 20], lumpy()[..6].to_vec()] {
            assert!(speeds(&samples).concat().is_empty());
            let chart = drawn(&samples);
            assert_eq!(chart.ticks, [(100.0, "0".to_owned())]);
            assert_eq!((chart.line.as_str(), chart.end), ("", None));
        }
    }

    #[test]
    fn points_outside_the_five_minutes_are_not_drawn() {
        let samples = lumpy();
        let speeds = speeds(&samples);
        assert_eq!(Chart::new(&speeds, samples[299].now + 301.0).line, "");
        assert_eq!(Chart::new(&speeds, samples[0].now - 60.0).line, "");
    }

    #[test]
    fn scales_are_round() {
        let labels = |high| {
            let speeds = [vec![(0.0, high)]];
            let ticks = Chart::new(&speeds, 0.0).ticks.into_iter();
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
}
