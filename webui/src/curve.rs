//! The speed over time: the slope of the counters, split by version and scaled to the chart.

use crate::{history::Sample, workers::MAX_VERSIONS};

/// A longer time between two readings is a gap, in seconds.
pub(crate) const GAP: f64 = 3.0;
/// The length of the chart, in seconds.
const SPAN: f64 = 300.0;
/// The time over which a speed is computed, in seconds.
pub(crate) const WINDOW: f64 = 10.0;
/// The shortest time from which a speed is computed, in seconds; less would be noise.
const MIN_WINDOW: f64 = 6.0;
/// How far the curve may rise above the top gridline, so that jitter does not change the scale.
const HEADROOM: f64 = 1.04;

/// A speed that no version reports is jitter, unless it exceeds a threshold: a number of hashes per
/// second plus a share of the total speed, in a number of consecutive readings.
const JITTER: (f64, f64, usize) = (0.3, 0.05, 15);
/// The label of the workers whose version is unknown.
const OTHERS: &str = "others";
/// The time between two points of a curve, in seconds; limits the size of the page.
const STEP: f64 = 2.0;

/// The speed at one time, in hashes per second.
#[derive(Clone, Debug)]
pub(crate) struct Speed {
    /// Seconds since the Unix epoch.
    pub(crate) at: f64,
    pub(crate) total: f64,
    /// The part of each version, and last that of others; their sum is the total.
    parts: Vec<f64>,
}

impl Speed {
    pub(crate) fn others(&self) -> f64 {
        self.parts.last().copied().unwrap_or_default()
    }

    fn has_others(&self) -> bool {
        self.others() > JITTER.0 + JITTER.1 * self.total
    }
}

/// The versions in the chart.
pub(crate) fn versions(samples: &[Sample]) -> Vec<&str> {
    samples.last().into_iter().flat_map(|last| last.by_version.keys()).map(String::as_str).collect()
}

/// The speed at each reading, in segments that end at gaps and where a counter decreased.
pub(crate) fn speeds(samples: &[Sample]) -> Vec<Vec<Speed>> {
    let versions = versions(samples);
    let speed = |(last, segment): (usize, &[Sample])| {
        let first = segment.partition_point(|other| other.now < segment[last].now - WINDOW);
        let window = &segment[first..=last];
        let total = slope(window, |sample| sample.hashes)?;
        let count = |sample: &Sample, version| sample.by_version.get(version).copied();
        let part = |version| slope(window, |sample| count(sample, version).unwrap_or_default());
        let mut parts: Vec<_> = versions.iter().filter_map(|&version| part(version)).collect();
        parts.push((total - parts.iter().sum::<f64>()).max(0.0));
        Some(Speed { at: segment[last].now, total, parts })
    };
    let speeds =
        |segment: &[Sample]| (0..segment.len()).filter_map(|last| speed((last, segment))).collect();
    let mut segments: Vec<Vec<_>> = samples.chunk_by(Sample::continues).map(speeds).collect();
    share(&mut segments);
    segments
}

/// Fits a line by least squares. Workers flush once a second or less often, so the difference of
/// the first and the last sample would jump with each flush.
fn slope(window: &[Sample], count: impl Fn(&Sample) -> u64) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if last.now - first.now < MIN_WINDOW {
        return None;
    }
    let times = window.iter().map(|sample| sample.now - first.now);
    let middle = times.clone().sum::<f64>() / window.len() as f64;
    let (mut rise, mut spread) = (0.0, 0.0);
    for (sample, time) in window.iter().zip(times) {
        let counted = count(sample).saturating_sub(count(first));
        rise += (time - middle) * counted as f64;
        spread += (time - middle).powi(2);
    }
    Some((rise / spread).max(0.0))
}

/// Scales the parts so that their sum is the total: the counters are exact, the workers' reports
/// only give the shares.
fn share(segments: &mut [Vec<Speed>]) {
    let lasts = |group: &[Speed]| group[0].has_others() && group.len() >= JITTER.2;
    let same = |a: &Speed, b: &Speed| a.has_others() == b.has_others();
    let has_others = segments.iter().any(|segment| segment.chunk_by(same).any(lasts));
    for speed in segments.iter_mut().flatten() {
        let [parts @ .., others] = &mut speed.parts[..] else { continue };
        if !has_others && !parts.is_empty() {
            *others = 0.0;
        }
        let reported: f64 = parts.iter().sum();
        let known = speed.total - *others;
        match parts {
            // No version has reported work yet, so the first one gets everything.
            [first, ..] if reported == 0.0 => *first = known,
            parts => parts.iter_mut().for_each(|part| *part *= known / reported),
        }
    }
}

/// The speed of one version, stacked on the previous ones.
pub(crate) struct Band {
    /// The number of its colour.
    pub(crate) class: usize,
    /// The version; empty if it is the only one.
    pub(crate) name: String,
    /// The newest speed.
    pub(crate) speed: f64,
    /// The top edge where the version has a speed, as a path in a box of 1500 by 1000.
    pub(crate) line: String,
    /// The whole top edge, closed along the bottom of the chart.
    pub(crate) area: String,
}

/// The chart as the template draws it.
pub(crate) struct Chart {
    /// From bottom to top.
    pub bands: Vec<Band>,
    /// The gridlines: percent from the top, and label.
    pub ticks: Vec<(f64, String)>,
    /// The speed at the top of the chart.
    pub top: f64,
    /// The newest point, in percent from the left and the top.
    pub end: Option<(f64, f64)>,
    /// The highest speed in the chart.
    pub high: Option<f64>,
    /// The ceiling in percent from the top, unless it is far above the speeds.
    pub ceiling: Option<f64>,
}

impl Chart {
    /// Scales the speeds of the last five minutes to the chart, with a band per version.
    pub(crate) fn new(
        speeds: &[Vec<Speed>],
        now: f64,
        versions: &[&str],
        ceiling: Option<f64>,
    ) -> Self {
        let recent = |speed: &&Speed| (-GAP..=SPAN).contains(&(now - speed.at));
        let segments = speeds.iter().map(|speeds| speeds.iter().filter(recent).collect::<Vec<_>>());
        let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
        let drawn = || segments.iter().flatten();
        let high = drawn().map(|speed| speed.total).reduce(f64::max);
        let ceiling = ceiling.filter(|ceiling| high.is_some_and(|high| *ceiling < 2.0 * high));
        let (step, steps) = scale(high.unwrap_or_default().max(ceiling.unwrap_or_default()));
        let top = step * steps;
        let left = |speed: &Speed| 100.0 - (now - speed.at).max(0.0) / SPAN * 100.0;
        let height = |rate: f64| 100.0 - rate / top * 100.0;

        let mut shown: Vec<_> = versions.iter().copied().chain([OTHERS]).enumerate().collect();
        shown.retain(|(part, _)| drawn().any(|speed| speed.parts[*part] > 0.0));
        // If every speed is zero, no version has a part.
        if shown.is_empty() && high.is_some() {
            shown.push((0, ""));
        }
        let single = shown.len() == 1;
        let bottom = shown.first().map_or(0, |(part, _)| *part);
        let band = |(part, name): (usize, &str)| {
            let class = if part == versions.len() { MAX_VERSIONS } else { part };
            let (class, name) = if single { (0, "") } else { (class, name) };
            let speed = drawn().next_back().map_or(0.0, |last| last.parts[part]);
            let (mut line, mut area) = (String::new(), String::new());
            for segment in &segments {
                let below = |speed: &Speed| speed.parts[..=part].iter().sum();
                let edge = |speed: &&Speed| (left(speed), height(below(speed)));
                let drawn: Vec<_> = thinned(segment).collect();
                area += &piece(drawn.iter().map(edge));
                area += &format!("V1000H{:.0}Z", left(segment[0]) * 15.0);
                // A version without speed has no line, which would hide the line below it.
                let visible = |speed: &&Speed| part == bottom || speed.parts[part] > 0.0;
                let pieces = drawn.chunk_by(|a, b| visible(a) == visible(b));
                let pieces = pieces.filter(|speeds| visible(&speeds[0]));
                line.extend(pieces.map(|speeds| piece(speeds.iter().map(edge))));
            }
            Band { class, name: name.to_owned(), speed, line, area }
        };
        let bands = shown.into_iter().map(band).collect();
        // Without a speed there is no scale, only the bottom line.
        let lines = if high.is_some() { steps as u32 } else { 0 };
        let tick = |i| (height(f64::from(i) * step), compact(f64::from(i) * step));
        let ticks = (0..=lines).map(tick).collect();
        let end = drawn().next_back().map(|last| (left(last), height(last.total)));
        Chart { bands, ticks, top, end, high, ceiling: ceiling.map(height) }
    }

    /// The band with the topmost line at the newest point.
    pub(crate) fn topmost(&self) -> Option<&Band> {
        self.bands.iter().rfind(|band| band.speed > 0.0).or(self.bands.first())
    }
}

/// The first speed of every two seconds by the clock, so that a new speed changes no other point,
/// and the last speed.
fn thinned<'a>(segment: &'a [&Speed]) -> impl Iterator<Item = &'a Speed> {
    let slot = |i: usize| (segment[i].at / STEP).floor();
    let starts_slot =
        move |i: &usize| *i == 0 || *i + 1 == segment.len() || slot(*i) != slot(*i - 1);
    (0..segment.len()).filter(starts_slot).map(|i| segment[i])
}

/// A piece of a path in a box of 1500 by 1000, from percents: the first point is absolute, the
/// others are relative to the previous one.
fn piece(places: impl Iterator<Item = (f64, f64)>) -> String {
    let (mut path, mut x, mut y) = (String::new(), 0, 0);
    for (number, (left, top)) in places.enumerate() {
        let (next_x, next_y) = ((left * 15.0).round() as i32, (top * 10.0).round() as i32);
        path += ["M", "l", " "][number.min(2)];
        path += &format!("{} {}", next_x - x, next_y - y).replace(" -", "-");
        (x, y) = (next_x, next_y);
    }
    path
}

/// A round step, and the number of steps (at most four) that reach `high`.
fn scale(high: f64) -> (f64, f64) {
    let high = (high / HEADROOM).max(1.0);
    let unit = 10f64.powf((high / 4.0).log10().floor());
    let mut steps = [1.0, 2.0, 2.5, 5.0].into_iter().map(|round| round * unit);
    let step = steps.find(|step| step * 4.0 >= high).unwrap_or(10.0 * unit);
    (step, (high / step).ceil().min(4.0))
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

    /// A reading per second of a worker that adds 4 hashes every 1.2 s.
    fn lumpy() -> Vec<Sample> {
        let sample = |second: u64| Sample {
            now: 1_700_000_000.5 + second as f64,
            hashes: 1000 + second * 10 / 12 * 4,
            coins: 60,
            ..Sample::default()
        };
        (0..300).map(sample).collect()
    }

    fn drawn(samples: &[Sample]) -> Chart {
        let now = samples.last().map_or(0.0, |sample| sample.now);
        Chart::new(&speeds(samples), now, &[], None)
    }

    /// The points of a path, from its absolute and then relative numbers.
    fn points(path: &str) -> Vec<(i32, i32)> {
        let piece = |piece: &str| {
            let piece = piece.split('V').next().unwrap().replace('-', " -").replace('l', " ");
            let numbers: Vec<i32> = piece.split_whitespace().map(|n| n.parse().unwrap()).collect();
            let steps = numbers.chunks_exact(2).scan((0, 0), |(x, y), step| {
                (*x, *y) = (*x + step[0], *y + step[1]);
                Some((*x, *y))
            });
            steps.collect::<Vec<_>>()
        };
        path.split('M').skip(1).flat_map(piece).collect()
    }

    #[test]
    fn flushes_do_not_show_in_the_speed() {
        let speeds = speeds(&lumpy()).concat();
        assert_eq!(speeds.len(), 294);
        for speed in &speeds[4..] {
            assert!((speed.total - 3.33).abs() < 0.2, "{speed:?}");
        }
    }

    #[test]
    fn a_constant_speed_is_exact() {
        let steady = lumpy()
            .into_iter()
            .enumerate()
            .map(|(i, sample)| Sample { hashes: u64::MAX - 3000 + 10 * i as u64, ..sample });
        let speeds = speeds(&steady.collect::<Vec<_>>()).concat();
        assert!(speeds.iter().all(|speed| (speed.total - 10.0).abs() < 1e-6));
    }

    #[test]
    fn a_reset_starts_a_new_segment() {
        let mut samples = lumpy();
        for sample in &mut samples[150..] {
            sample.hashes -= 1400;
        }
        let speeds = speeds(&samples);
        assert_eq!(speeds.iter().map(Vec::len).collect::<Vec<_>>(), [144, 144]);
        assert!(speeds.concat().iter().all(|speed| (2.8..4.1).contains(&speed.total)));
    }

    #[test]
    fn a_gap_has_no_line_and_no_zero() {
        let mut samples = lumpy();
        samples.drain(100..130);
        let chart = drawn(&samples);
        let [band] = &chart.bands[..] else { panic!("one band") };
        assert_eq!(band.line.matches('M').count(), 2);
        assert_eq!(band.area.matches('Z').count(), 2);
        assert_eq!(points(&band.line), points(&band.area));
        assert!(points(&band.line).iter().all(|(_, y)| (0..500).contains(y)));
    }

    #[test]
    fn too_few_samples_give_no_speed() {
        let one = lumpy()[0].clone();
        for samples in [vec![], vec![one.clone()], vec![one; 20], lumpy()[..6].to_vec()] {
            assert!(speeds(&samples).concat().is_empty());
            let chart = drawn(&samples);
            assert_eq!(chart.ticks, [(100.0, "0".to_owned())]);
            assert_eq!((chart.bands.len(), chart.end), (0, None));
        }
    }

    #[test]
    fn speeds_outside_the_five_minutes_are_not_drawn() {
        let samples = lumpy();
        let speeds = speeds(&samples);
        for now in [samples[299].now + 301.0, samples[0].now - 60.0] {
            assert!(Chart::new(&speeds, now, &[], None).bands.is_empty());
        }
    }

    #[test]
    fn scales_are_round() {
        let labels = |high| {
            let speeds = [vec![Speed { at: 0.0, total: high, parts: vec![high] }]];
            let ticks = Chart::new(&speeds, 0.0, &[], None).ticks.into_iter();
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

    /// Five minutes of a counter, of which the versions report these shares.
    fn stacked(shares: &[f64]) -> Vec<Sample> {
        let sample = |mut sample: Sample| {
            let done = (sample.hashes - 1000) as f64;
            let counts = shares.iter().map(|share| (done * share) as u64);
            let versions = ["v0.1", "v0.2"].map(str::to_owned);
            sample.by_version = versions.into_iter().zip(counts).collect();
            sample
        };
        lumpy()
            .into_iter()
            .map(|old| sample(Sample { hashes: 1000 + old.hashes * 9, ..old }))
            .collect()
    }

    fn bands(samples: &[Sample]) -> Vec<(String, f64)> {
        let versions = versions(samples);
        let chart = Chart::new(&speeds(samples), samples[299].now, &versions, None);
        let (_, top) = chart.end.unwrap();
        let drawn = points(&chart.bands.last().unwrap().line);
        assert!((f64::from(drawn.last().unwrap().1) - 10.0 * top).abs() <= 0.5);
        chart.bands.into_iter().map(|band| (band.name, band.speed)).collect()
    }

    #[test]
    fn versions_are_stacked_and_their_sum_is_the_counted_speed() {
        let total = speeds(&stacked(&[])).concat().last().unwrap().total;
        // The reports differ a little from the counter when workers start and stop.
        for (first, second) in [(0.8, 0.2), (0.77, 0.2), (0.84, 0.2)] {
            let bands = bands(&stacked(&[first, second]));
            assert_eq!(
                bands.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                ["v0.1", "v0.2"]
            );
            let expected = total * first / (first + second);
            assert!((bands[0].1 - expected).abs() < 0.1, "{bands:?}");
            assert!((bands[0].1 + bands[1].1 - total).abs() < 1e-6, "{bands:?}");
        }
    }

    #[test]
    fn work_that_no_version_reports_belongs_to_others() {
        let bands = bands(&stacked(&[0.5, 0.2]));
        let names: Vec<_> = bands.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["v0.1", "v0.2", "others"]);
        let total: f64 = bands.iter().map(|(_, speed)| speed).sum();
        for ((_, speed), share) in bands.iter().zip([0.5, 0.2, 0.3]) {
            assert!((speed / total - share).abs() < 0.02, "{bands:?}");
        }
    }

    #[test]
    fn the_newest_point_belongs_to_the_topmost_version_with_a_speed() {
        let mut samples = stacked(&[0.8, 0.2]);
        let now = samples.last().unwrap().now;
        let topmost = |samples: &[Sample]| {
            let chart = Chart::new(&speeds(samples), now, &versions(samples), None);
            chart.topmost().map(|band| band.name.clone())
        };
        assert_eq!(topmost(&samples).as_deref(), Some("v0.2"));
        let rolled_back = samples[150].by_version["v0.2"];
        for sample in &mut samples[150..] {
            let before = sample.by_version.insert("v0.2".to_owned(), rolled_back);
            sample.hashes -= before.unwrap() - rolled_back;
        }
        assert_eq!(topmost(&samples).as_deref(), Some("v0.1"));
    }

    #[test]
    fn a_version_has_no_line_before_its_first_work() {
        let mut samples = stacked(&[0.8, 0.2]);
        let joined = samples[150].by_version["v0.2"];
        for sample in &mut samples[..150] {
            sample.by_version.insert("v0.2".to_owned(), joined);
        }
        let now = samples.last().unwrap().now;
        let chart = Chart::new(&speeds(&samples), now, &versions(&samples), None);
        let from = |band: usize| points(&chart.bands[band].line)[0].0;
        assert!(from(0) < 50 && (700..800).contains(&from(1)), "{} {}", from(0), from(1));
        assert!(points(&chart.bands[1].area)[0].0 < 50);
    }

    #[test]
    fn a_single_version_is_one_unnamed_band() {
        for shares in [&[][..], &[0.0, 0.98], &[1.0]] {
            let bands = bands(&stacked(shares));
            assert_eq!((bands.len(), bands[0].0.as_str()), (1, ""), "{shares:?}");
        }
    }

    #[test]
    fn reports_above_the_counter_change_only_the_shares() {
        let mut samples = stacked(&[]);
        for (second, sample) in samples.iter_mut().enumerate() {
            sample.by_version.insert("v0.1".to_owned(), u64::MAX / 400 * second as u64);
        }
        let speeds = speeds(&samples).concat();
        assert!(
            speeds.iter().all(|speed| speed.parts.iter().all(|part| *part <= speed.total * 1.001))
        );
    }

    #[test]
    fn the_ceiling_is_drawn_if_it_is_near_the_speed() {
        let ceiling = |ceiling| {
            let samples = lumpy();
            Chart::new(&speeds(&samples), samples[299].now, &[], Some(ceiling)).ceiling
        };
        assert!(ceiling(3.4).is_some_and(|percent| (percent - 15.0).abs() < 1e-6));
        assert!(ceiling(5.0).is_some_and(|percent| (0.0..=50.0).contains(&percent)));
        assert_eq!(ceiling(1e12), None);
    }
}
