//! The speed over time: a slope fitted to the counters, divided among versions, scaled to the chart.

use crate::{history::Sample, workers::MOST_VERSIONS};

/// Readings further apart than this many seconds are a gap.
pub(crate) const GAP: f64 = 3.0;
/// How many seconds the chart looks back.
const SPAN: f64 = 300.0;
/// How many seconds of readings are behind each speed.
pub(crate) const WINDOW: f64 = 10.0;
/// A speed from fewer seconds than this would be noise.
const SHORTEST: f64 = 6.0;
/// The curve may rise a little above the top gridline, or jitter around a round speed would change the scale.
const HEADROOM: f64 = 1.04;

/// What the workers did not claim is shown when it is more than this, plus this share of the speed,
/// for this many readings in a row; anything less is jitter.
const SLACK: (f64, f64, usize) = (0.3, 0.05, 15);
/// What stands for workers that do not say their version.
const OTHERS: &str = "others";
/// Points this many seconds apart are drawn, so that the page stays small.
const STEP: f64 = 2.0;

/// The speed at one moment, in hashes per second.
#[derive(Clone, Debug)]
pub(crate) struct Speed {
    /// Seconds since the Unix epoch.
    pub(crate) at: f64,
    pub(crate) total: f64,
    /// The part of each version, and at the end what no version claims; together the total.
    parts: Vec<f64>,
}

impl Speed {
    pub(crate) fn others(&self) -> f64 {
        self.parts.last().copied().unwrap_or_default()
    }

    fn is_partly_claimed(&self) -> bool {
        self.others() > SLACK.0 + SLACK.1 * self.total
    }
}

/// The versions in the chart.
pub(crate) fn versions(samples: &[Sample]) -> Vec<&str> {
    samples.last().into_iter().flat_map(|last| last.claimed.keys()).map(String::as_str).collect()
}

/// The speed at each reading, in runs that end where readings are missing or the counters went back.
pub(crate) fn speeds(samples: &[Sample]) -> Vec<Vec<Speed>> {
    let versions = versions(samples);
    let speed = |(last, run): (usize, &[Sample])| {
        let first = run.partition_point(|other| other.now < run[last].now - WINDOW);
        let window = &run[first..=last];
        let total = slope(window, |sample| sample.hashes)?;
        let claimed = |sample: &Sample, version| sample.claimed.get(version).copied();
        let part = |version| slope(window, |sample| claimed(sample, version).unwrap_or_default());
        let mut parts: Vec<_> = versions.iter().filter_map(|&version| part(version)).collect();
        parts.push((total - parts.iter().sum::<f64>()).max(0.0));
        Some(Speed { at: run[last].now, total, parts })
    };
    let runs = samples.chunk_by(Sample::continues);
    let runs = runs.map(|run| (0..run.len()).filter_map(|last| speed((last, run))).collect());
    let mut runs: Vec<Vec<_>> = runs.collect();
    share(&mut runs);
    runs
}

/// Least squares: workers count in lumps, and the difference of the two ends alone would jump with each lump.
fn slope(window: &[Sample], count: impl Fn(&Sample) -> u64) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if last.now - first.now < SHORTEST {
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

/// Makes the parts add up: the counters are the truth, what workers say only tells how to divide it.
fn share(runs: &mut [Vec<Speed>]) {
    let lasts = |group: &[Speed]| group[0].is_partly_claimed() && group.len() >= SLACK.2;
    let same = |a: &Speed, b: &Speed| a.is_partly_claimed() == b.is_partly_claimed();
    let has_others = runs.iter().any(|run| run.chunk_by(same).any(lasts));
    for speed in runs.iter_mut().flatten() {
        let [parts @ .., others] = &mut speed.parts[..] else { continue };
        if !has_others && !parts.is_empty() {
            *others = 0.0;
        }
        let claimed: f64 = parts.iter().sum();
        let rest = speed.total - *others;
        match parts {
            // Nobody has claimed anything yet; the first version is as good as any.
            [first, ..] if claimed == 0.0 => *first = rest,
            parts => parts.iter_mut().for_each(|part| *part *= rest / claimed),
        }
    }
}

/// The speed of one version, on top of those before it.
pub(crate) struct Band {
    /// Its place among the colours.
    pub(crate) class: usize,
    /// Its version; nothing when it is the only one.
    pub(crate) name: String,
    /// Its newest speed.
    pub(crate) speed: f64,
    /// The top edge in a box of 1500 by 1000, one piece for each run in which the version works.
    pub(crate) line: String,
    /// The whole top edge, closed along the bottom.
    pub(crate) area: String,
}

/// What the template draws.
pub(crate) struct Chart {
    /// From the bottom to the top.
    pub bands: Vec<Band>,
    /// Gridlines: percent from the top, and label.
    pub ticks: Vec<(f64, String)>,
    /// The speed at the top.
    pub top: f64,
    /// The newest point, in percent from the left and from the top.
    pub end: Option<(f64, f64)>,
    /// The highest speed drawn.
    pub high: Option<f64>,
    /// The ceiling in percent from the top, unless it is far above everything.
    pub ceiling: Option<f64>,
}

impl Chart {
    /// Scales the speeds of the last five minutes to the chart, with the version of each band.
    pub(crate) fn new(
        speeds: &[Vec<Speed>],
        now: f64,
        versions: &[&str],
        ceiling: Option<f64>,
    ) -> Self {
        let recent = |speed: &&Speed| (-GAP..=SPAN).contains(&(now - speed.at));
        let runs = speeds.iter().map(|run| run.iter().filter(recent).collect::<Vec<_>>());
        let runs: Vec<_> = runs.filter(|run| !run.is_empty()).collect();
        let drawn = || runs.iter().flatten();
        let high = drawn().map(|speed| speed.total).reduce(f64::max);
        let ceiling = ceiling.filter(|ceiling| high.is_some_and(|high| *ceiling < 2.0 * high));
        let (step, steps) = scale(high.unwrap_or_default().max(ceiling.unwrap_or_default()));
        let top = step * steps;
        let left = |speed: &Speed| 100.0 - (now - speed.at).max(0.0) / SPAN * 100.0;
        let height = |rate: f64| 100.0 - rate / top * 100.0;

        let mut shown: Vec<_> = versions.iter().copied().chain([OTHERS]).enumerate().collect();
        shown.retain(|(part, _)| drawn().any(|speed| speed.parts[*part] > 0.0));
        // A speed of zero is one as well.
        if shown.is_empty() && high.is_some() {
            shown.push((0, ""));
        }
        let single = shown.len() == 1;
        let bottom = shown.first().map_or(0, |(part, _)| *part);
        let band = |(part, name): (usize, &str)| {
            let class = if part == versions.len() { MOST_VERSIONS } else { part };
            let (class, name) = if single { (0, "") } else { (class, name) };
            let speed = drawn().next_back().map_or(0.0, |last| last.parts[part]);
            let (mut line, mut area) = (String::new(), String::new());
            for run in &runs {
                let below = |speed: &Speed| speed.parts[..=part].iter().sum();
                let edge = |speed: &&Speed| (left(speed), height(below(speed)));
                let drawn: Vec<_> = thinned(run).collect();
                area += &piece(drawn.iter().map(edge));
                area += &format!("V1000H{:.0}Z", left(run[0]) * 15.0);
                // A version has no line where it does nothing, or it would hide the one below.
                let there = |speed: &&Speed| part == bottom || speed.parts[part] > 0.0;
                let pieces = drawn.chunk_by(|a, b| there(a) == there(b));
                let pieces = pieces.filter(|speeds| there(&speeds[0]));
                line.extend(pieces.map(|speeds| piece(speeds.iter().map(edge))));
            }
            Band { class, name: name.to_owned(), speed, line, area }
        };
        let bands = shown.into_iter().map(band).collect();
        // Without a speed there is nothing to scale: the bottom line alone.
        let lines = if high.is_some() { steps as u32 } else { 0 };
        let tick = |i| (height(f64::from(i) * step), compact(f64::from(i) * step));
        let ticks = (0..=lines).map(tick).collect();
        let end = drawn().next_back().map(|last| (left(last), height(last.total)));
        Chart { bands, ticks, top, end, high, ceiling: ceiling.map(height) }
    }

    /// The band whose line is the topmost one now.
    pub(crate) fn topmost(&self) -> Option<&Band> {
        self.bands.iter().rfind(|band| band.speed > 0.0).or(self.bands.first())
    }
}

/// The first speed of every two seconds, always the same ones, and the last.
fn thinned<'a>(run: &'a [&Speed]) -> impl Iterator<Item = &'a Speed> {
    let slot = |i: usize| (run[i].at / STEP).floor();
    let kept = move |i: &usize| *i == 0 || *i + 1 == run.len() || slot(*i) != slot(*i - 1);
    (0..run.len()).filter(kept).map(|i| run[i])
}

/// A piece of a path in a box of 1500 by 1000, from percents: the first point, and how far it is from
/// each point to the next.
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

/// A round step, and how many of them (at most four) reach `high`.
fn scale(high: f64) -> (f64, f64) {
    let high = (high / HEADROOM).max(1.0);
    let unit = 10f64.powf((high / 4.0).log10().floor());
    let mut steps = [1.0, 2.0, 2.5, 5.0].into_iter().map(|round| round * unit);
    let step = steps.find(|step| step * 4.0 >= high).unwrap_or(10.0 * unit);
    (step, (high / step).ceil().min(4.0))
}

/// A number as short as an axis needs it.
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
    fn lumps_do_not_show() {
        let speeds = speeds(&lumpy()).concat();
        assert_eq!(speeds.len(), 294);
        for speed in &speeds[4..] {
            assert!((speed.total - 3.33).abs() < 0.2, "{speed:?}");
        }
    }

    #[test]
    fn steady_counting_is_exact() {
        let steady = lumpy()
            .into_iter()
            .enumerate()
            .map(|(i, sample)| Sample { hashes: u64::MAX - 3000 + 10 * i as u64, ..sample });
        let speeds = speeds(&steady.collect::<Vec<_>>()).concat();
        assert!(speeds.iter().all(|speed| (speed.total - 10.0).abs() < 1e-6));
    }

    #[test]
    fn a_reset_starts_a_new_run() {
        let mut samples = lumpy();
        for sample in &mut samples[150..] {
            sample.hashes -= 1400;
        }
        let speeds = speeds(&samples);
        assert_eq!(speeds.iter().map(Vec::len).collect::<Vec<_>>(), [144, 144]);
        assert!(speeds.concat().iter().all(|speed| (2.8..4.1).contains(&speed.total)));
    }

    #[test]
    fn a_gap_is_neither_a_line_nor_zero() {
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
    fn too_little_to_tell_is_no_speed() {
        let one = lumpy()[0].clone();
        for samples in [vec![], vec![one.clone()], vec![one; 20], lumpy()[..6].to_vec()] {
            assert!(speeds(&samples).concat().is_empty());
            let chart = drawn(&samples);
            assert_eq!(chart.ticks, [(100.0, "0".to_owned())]);
            assert_eq!((chart.bands.len(), chart.end), (0, None));
        }
    }

    #[test]
    fn points_outside_the_five_minutes_are_not_drawn() {
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

    /// Five minutes of a counter, of which the versions claim these shares.
    fn stacked(shares: &[f64]) -> Vec<Sample> {
        let sample = |mut sample: Sample| {
            let done = (sample.hashes - 1000) as f64;
            let claims = shares.iter().map(|share| (done * share) as u64);
            sample.claimed = ["v0.1", "v0.2"].map(str::to_owned).into_iter().zip(claims).collect();
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
    fn versions_are_stacked_and_add_up_to_what_was_counted() {
        let total = speeds(&stacked(&[])).concat().last().unwrap().total;
        // A little is lost or counted too early, as when workers come and go.
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
    fn what_nobody_claims_is_done_by_others() {
        let bands = bands(&stacked(&[0.5, 0.2]));
        let names: Vec<_> = bands.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["v0.1", "v0.2", "others"]);
        let total: f64 = bands.iter().map(|(_, speed)| speed).sum();
        for ((_, speed), share) in bands.iter().zip([0.5, 0.2, 0.3]) {
            assert!((speed / total - share).abs() < 0.02, "{bands:?}");
        }
    }

    #[test]
    fn the_newest_point_belongs_to_the_topmost_version_that_works() {
        let mut samples = stacked(&[0.8, 0.2]);
        let now = samples.last().unwrap().now;
        let topmost = |samples: &[Sample]| {
            let chart = Chart::new(&speeds(samples), now, &versions(samples), None);
            chart.topmost().map(|band| band.name.clone())
        };
        assert_eq!(topmost(&samples).as_deref(), Some("v0.2"));
        let rolled_back = samples[150].claimed["v0.2"];
        for sample in &mut samples[150..] {
            let claimed = sample.claimed.insert("v0.2".to_owned(), rolled_back);
            sample.hashes -= claimed.unwrap() - rolled_back;
        }
        assert_eq!(topmost(&samples).as_deref(), Some("v0.1"));
    }

    #[test]
    fn a_version_that_joins_late_has_no_line_before() {
        let mut samples = stacked(&[0.8, 0.2]);
        let joined = samples[150].claimed["v0.2"];
        for sample in &mut samples[..150] {
            sample.claimed.insert("v0.2".to_owned(), joined);
        }
        let now = samples.last().unwrap().now;
        let chart = Chart::new(&speeds(&samples), now, &versions(&samples), None);
        let from = |band: usize| points(&chart.bands[band].line)[0].0;
        assert!(from(0) < 50 && (700..800).contains(&from(1)), "{} {}", from(0), from(1));
        assert!(points(&chart.bands[1].area)[0].0 < 50);
    }

    #[test]
    fn one_version_or_none_is_simply_the_speed() {
        for shares in [&[][..], &[0.0, 0.98], &[1.0]] {
            let bands = bands(&stacked(shares));
            assert_eq!((bands.len(), bands[0].0.as_str()), (1, ""), "{shares:?}");
        }
    }

    #[test]
    fn whoever_claims_more_than_was_counted_changes_nothing_but_the_shares() {
        let mut samples = stacked(&[]);
        for (second, sample) in samples.iter_mut().enumerate() {
            sample.claimed.insert("v0.1".to_owned(), u64::MAX / 400 * second as u64);
        }
        let speeds = speeds(&samples).concat();
        assert!(
            speeds.iter().all(|speed| speed.parts.iter().all(|part| *part <= speed.total * 1.001))
        );
    }

    #[test]
    fn the_ceiling_is_drawn_where_it_is_near() {
        let ceiling = |ceiling| {
            let samples = lumpy();
            Chart::new(&speeds(&samples), samples[299].now, &[], Some(ceiling)).ceiling
        };
        assert!(ceiling(3.4).is_some_and(|percent| (percent - 15.0).abs() < 1e-6));
        assert!(ceiling(5.0).is_some_and(|percent| (0.0..=50.0).contains(&percent)));
        assert_eq!(ceiling(1e12), None);
    }
}
