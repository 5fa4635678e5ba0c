//! The curve of the speed as SVG paths, and the same values as data for the script.

use std::collections::BTreeSet;

use crate::{
    history::{Event, GAP, Sample},
    state::State,
    view::{events::describe, text::rate, window::Window},
};

/// The number of points of a curve; limits the size of the page.
const POINTS: u64 = 150;
/// How far the curve may rise above the top gridline, so that jitter does not change the scale.
const HEADROOM: f64 = 1.04;
/// The capacity is drawn if it is below this multiple of the highest speed.
const NEAR: f64 = 2.0;
/// Labels of marks that are closer than this, in percent of the width, would overlap.
const LABEL_WIDTH: f64 = 11.0;
/// x of a path is the second within this time and the one before, so that most of a path stays the
/// same from second to second.
const ORIGIN_STEP: u64 = 3600;

/// The speed of one version, stacked on the previous ones.
pub(crate) struct Band {
    pub(crate) colour: u8,
    /// Empty for workers that send no heartbeats.
    pub(crate) name: String,
    /// The newest speed; none if the version is gone.
    pub(crate) speed: Option<String>,
    /// The top edge where the version has a speed.
    pub(crate) line: Path,
    /// The whole top edge, closed along the bottom of the chart.
    pub(crate) area: Path,
}

/// A vertical line where something happened.
pub(crate) struct Mark {
    pub(crate) x: f64,
    /// In percent from the left.
    pub(crate) left: f64,
    /// Empty if there is no room.
    pub(crate) label: String,
}

/// The chart as the template draws it. Paths are in a box of a unit per second by 1000 units.
pub(crate) struct Chart {
    pub(crate) span: f64,
    /// x of the left edge.
    pub(crate) start: f64,
    /// Seconds since the Unix epoch at x = 0.
    pub(crate) origin: u64,
    /// From bottom to top.
    pub(crate) bands: Vec<Band>,
    pub(crate) capacity: Path,
    /// The gridlines: percent from the top, and label.
    pub(crate) ticks: Vec<(f64, String)>,
    /// The newest point, in percent from the left and the top, and its colour.
    pub(crate) end: Option<(f64, f64, u8)>,
    pub(crate) highest: Option<String>,
    pub(crate) marks: Vec<Mark>,
    /// One JSON array per point: second, capacity, and the speed of each band.
    pub(crate) series: Vec<String>,
}

/// A path with one command or point per line.
#[derive(Default)]
pub(crate) struct Path(String);

impl Path {
    fn push(&mut self, command: &str, x: f64, y: f64) {
        self.0 += &format!("{command}{x:.0} {y:.0}\n");
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl Chart {
    pub(crate) fn new(state: &State, events: &[Event], window: Window, now: f64) -> Self {
        let (span, step) = (window.seconds(), (window.seconds() as u64 / POINTS).max(1));
        let origin = (now as u64 / ORIGIN_STEP).saturating_sub(1) * ORIGIN_STEP;
        // From the start of a step, so that its first sample stays the first.
        let start = (now - span).max(0.0) as u64 / step * step;
        let samples: Vec<_> = state.history.since(start as f64).collect();
        let measured = samples.iter().copied().filter(|sample| sample.speeds.is_some());
        let measured: Vec<_> = measured.collect();
        let segments: Vec<Vec<&Sample>> =
            measured.chunk_by(|a, b| b.at - a.at <= GAP).map(|part| thinned(part, step)).collect();
        let drawn = || segments.iter().flatten().copied();
        let highest = drawn().filter_map(Sample::speed).reduce(f64::max);
        let limits = samples.iter().filter_map(|sample| sample.capacity.limit());
        let limit = limits.filter(|limit| highest.is_some_and(|high| *limit < NEAR * high));
        let (tick, ticks) = scale(limit.fold(highest.unwrap_or_default(), f64::max));
        let top = tick * ticks;

        let x = |at: f64| at.floor() - origin as f64;
        let left = |at: f64| 100.0 - (now - at) / span * 100.0;
        let y = |rate: f64| 1000.0 - rate / top * 1000.0;
        let bands: BTreeSet<(u8, &str)> = drawn().flat_map(versions).collect();
        let bands: Vec<_> = bands.into_iter().collect();
        let last = measured.last().copied();
        let below = |sample: &Sample, band: &(u8, &str)| {
            let speeds = sample.speeds.iter().flatten();
            let stacked = speeds.filter(|speed| (speed.colour, speed.version.as_str()) <= *band);
            stacked.map(|speed| speed.rate).sum::<f64>()
        };
        let band = |(number, band): (usize, &(u8, &str))| {
            let (mut line, mut area) = (Path::default(), Path::default());
            for segment in &segments {
                let visible =
                    |sample: &&Sample| number == 0 || versions(sample).any(|v| v == *band);
                for piece in segment.chunk_by(|a, b| visible(a) == visible(b)) {
                    for (i, sample) in piece.iter().enumerate().filter(|_| visible(&piece[0])) {
                        line.push(
                            if i == 0 { "M" } else { "" },
                            x(sample.at),
                            y(below(sample, band)),
                        );
                    }
                }
                let (first, end) = (segment[0], segment[segment.len() - 1]);
                area.push("M", x(first.at), 1000.0);
                segment.iter().for_each(|at| area.push("", x(at.at), y(below(at, band))));
                area.push("", x(end.at), 1000.0);
            }
            let speed = last.filter(|last| versions(last).any(|version| version == *band));
            let speed = speed.map(|last| rate(share(last, band)));
            Band { colour: band.0, name: band.1.to_owned(), speed, line, area }
        };
        let capacity = steps(&samples, x, |limit| (limit <= top).then(|| y(limit)));
        let point = |sample: &Sample| {
            let limit =
                sample.capacity.limit().map_or("null".to_owned(), |limit| format!("{limit:.2}"));
            let speeds = bands.iter().map(|band| format!(",{:.2}", share(sample, band)));
            format!("[{},{limit}{}]", sample.at as u64, speeds.collect::<String>())
        };
        // A last point within a step is drawn, but it is no data, because it will be gone.
        let series = segments.iter().flat_map(|segment| {
            let stays =
                |i: &usize| *i == 0 || slot(segment[i - 1], step) != slot(segment[*i], step);
            (0..segment.len()).filter(stays).map(|i| point(segment[i]))
        });
        Self {
            span,
            start: now.floor() - origin as f64 - span,
            origin,
            capacity,
            ticks: (0..=if highest.is_some() { ticks as u32 } else { 0 })
                .map(|i| (y(f64::from(i) * tick) / 10.0, compact(f64::from(i) * tick)))
                .collect(),
            end: last.and_then(|last| {
                let colour = versions(last).map(|(colour, _)| colour).max().unwrap_or_default();
                Some((left(last.at).min(100.0), y(last.speed()?) / 10.0, colour))
            }),
            highest: highest.map(rate),
            marks: marks(events, |at| (x(at), left(at))),
            series: series.collect(),
            bands: bands.iter().enumerate().map(band).collect(),
        }
    }
}

/// Colour and name of the versions that work.
fn versions(sample: &Sample) -> impl Iterator<Item = (u8, &str)> {
    let speeds = sample.speeds.iter().flatten();
    speeds.map(|speed| (speed.colour, speed.version.as_str()))
}

fn share(sample: &Sample, band: &(u8, &str)) -> f64 {
    let mut speeds = sample.speeds.iter().flatten();
    speeds
        .find(|speed| (speed.colour, speed.version.as_str()) == *band)
        .map_or(0.0, |speed| speed.rate)
}

/// The step that a sample is in.
fn slot(sample: &Sample, step: u64) -> u64 {
    sample.at as u64 / step
}

/// The first sample of each step, by the clock, so that a new sample changes no other point; and
/// the last one.
fn thinned<'a>(segment: &[&'a Sample], step: u64) -> Vec<&'a Sample> {
    let last = segment.len() - 1;
    let starts = |i: usize| i == 0 || slot(segment[i - 1], step) != slot(segment[i], step);
    (0..segment.len()).filter(|i| *i == last || starts(*i)).map(|i| segment[i]).collect()
}

/// The capacity as a stepped line, with a point where it changes.
fn steps(samples: &[&Sample], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> Option<f64>) -> Path {
    let mut path = Path::default();
    let height = |sample: &Sample| sample.capacity.limit().and_then(&y);
    for segment in samples.chunk_by(|a, b| b.at - a.at <= GAP) {
        for piece in segment.chunk_by(|a, b| height(a).is_some() == height(b).is_some()) {
            let mut at = None;
            for sample in piece {
                let Some(y) = height(sample).map(f64::round) else { break };
                match at.replace(y) {
                    None => path.push("M", x(sample.at), y),
                    Some(before) if before != y => {
                        path.push("", x(sample.at), before);
                        path.push("", x(sample.at), y);
                    }
                    Some(_) => {}
                }
            }
            if let (Some(y), Some(last)) = (at, piece.last()) {
                path.push("", x(last.at), y);
            }
        }
    }
    path
}

/// The marks of events; newer ones get a label first.
fn marks(events: &[Event], place: impl Fn(f64) -> (f64, f64)) -> Vec<Mark> {
    let mut free = 100.0 + LABEL_WIDTH;
    let mark = |event: &Event| {
        let (x, left) = place(event.after.at);
        let has_room = left < free - LABEL_WIDTH;
        free = if has_room { left } else { free };
        let label = if has_room { describe(event).0 } else { String::new() };
        Mark { x, left, label }
    };
    events.iter().rev().map(mark).collect()
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::state::tests::{World, after};

    fn drawn(world: &World, window: Window) -> Chart {
        let now = world.state.now();
        let events = world.state.history.events(now - window.seconds());
        Chart::new(&world.state, &events, window, now)
    }

    /// The points of each piece of a path.
    fn pieces(path: &Path) -> Vec<Vec<(f64, f64)>> {
        let point = |line: &str| {
            let (x, y) = line.split_once(' ').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        path.0.split('M').skip(1).map(|piece| piece.lines().map(point).collect()).collect()
    }

    /// The heights of a piece, without repetitions, as speeds.
    fn levels(chart: &Chart, piece: &[(f64, f64)]) -> Vec<f64> {
        let top: f64 = chart.ticks.last().unwrap().1.parse().unwrap();
        let mut levels: Vec<_> =
            piece.iter().map(|(_, y)| ((1000.0 - y) * top / 100.0).round() / 10.0).collect();
        levels.dedup();
        levels
    }

    #[test]
    fn the_capacity_has_its_own_history() {
        let mut world = after(60, 1);
        world.scale(10);
        world.run(60);
        world.scale(2);
        world.run(60);
        let chart = drawn(&world, Window::Five);
        let [piece] = &pieces(&chart.capacity)[..] else { panic!("{:?}", chart.capacity.0) };
        assert_eq!(levels(&chart, piece), [3.3, 10.0, 6.7]);
        // Steps, not slopes.
        assert!(piece.windows(2).all(|pair| pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1));
    }

    #[test]
    fn a_gap_has_no_line_and_no_zero() {
        let mut world = after(60, 3);
        world.now += 30.0;
        world.run(60);
        let chart = drawn(&world, Window::Five);
        let [band] = &chart.bands[..] else { panic!("one band") };
        assert_eq!((pieces(&band.line).len(), pieces(&band.area).len()), (2, 2));
        assert!(pieces(&band.line).concat().iter().all(|(_, y)| *y < 500.0));
        assert_eq!(pieces(&chart.capacity).len(), 2);
    }

    #[test]
    fn the_past_does_not_change() {
        for window in Window::ALL {
            let mut world = after(200, 3);
            world.add_worker("v0.2");
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            let mut areas = String::new();
            for _ in 0..100 {
                world.run(1);
                let chart = drawn(&world, window);
                for point in &chart.series {
                    let (second, values) = point.split_once(',').unwrap();
                    // Only a version that is new in the chart adds a value.
                    let before = seen.insert(second.to_owned(), values.to_owned());
                    let before = before.unwrap_or(values.to_owned());
                    assert!(values.starts_with(before.trim_end_matches(']')), "{second}");
                }
                areas = chart.bands[0].area.0.clone();
            }
            assert!(seen.len() > 10 && areas.lines().count() <= POINTS as usize + 4);
        }
    }

    #[test]
    fn versions_are_stacked_and_one_that_is_gone_has_no_line() {
        let mut world = after(60, 2);
        world.add_worker("v0.2");
        world.run(60);
        let chart = drawn(&world, Window::Five);
        let names: Vec<_> = chart.bands.iter().map(|band| band.name.as_str()).collect();
        assert_eq!(names, ["v0.1", "v0.2"]);
        let total = levels(&chart, pieces(&chart.bands[1].line).last().unwrap());
        assert!(total.iter().all(|level| (9.4..10.8).contains(level)), "{total:?}");
        assert_eq!(chart.end.unwrap().2, 1);

        world.workers.pop();
        world.run(60);
        let chart = drawn(&world, Window::Five);
        let end = |band: &Band| pieces(&band.line).last().unwrap().last().unwrap().0;
        assert!(end(&chart.bands[1]) < end(&chart.bands[0]) - 50.0);
        assert_eq!((chart.bands[1].speed.as_deref(), chart.end.unwrap().2), (None, 0));
        assert!(chart.bands[0].speed.is_some());
    }

    #[test]
    fn too_few_samples_give_no_curve() {
        let chart = drawn(&World::new(1), Window::Five);
        assert_eq!(chart.ticks, [(100.0, "0".to_owned())]);
        assert!(chart.bands.is_empty() && chart.end.is_none() && chart.series.is_empty());
    }

    #[test]
    fn each_window_shows_its_minutes() {
        let world = after(1900, 3);
        for window in Window::ALL {
            let chart = drawn(&world, window);
            let line = pieces(&chart.bands[0].line).concat();
            let seconds = line.last().unwrap().0 - line[0].0;
            assert!((seconds - window.seconds()).abs() <= 13.0, "{seconds} of {window:?}");
        }
    }

    #[test]
    fn a_capacity_that_is_far_above_the_speed_does_not_flatten_the_curve() {
        let mut world = after(60, 3);
        world.workers.iter_mut().for_each(|worker| worker.rate = 0.5);
        world.run(400);
        let chart = drawn(&world, Window::Five);
        assert_eq!(chart.ticks.last().unwrap().1, "1.5");
        assert!(chart.capacity.0.is_empty());
    }

    #[test]
    fn labels_of_marks_keep_their_distance() {
        let mut world = after(30, 1);
        for workers in 2..20 {
            world.scale(workers);
            world.run(12);
        }
        let chart = drawn(&world, Window::Five);
        let labels = chart.marks.iter().filter(|mark| !mark.label.is_empty());
        let places: Vec<f64> = labels.map(|mark| mark.left).collect();
        assert!(places.len() > 3 && chart.marks.len() == 18, "{places:?}");
        assert!(places.windows(2).all(|pair| pair[0] - pair[1] > LABEL_WIDTH), "{places:?}");
        assert_eq!(chart.marks[0].label, "19 workers");
    }

    #[test]
    fn scales_are_round() {
        let labels = |high| {
            let (step, steps) = scale(high);
            let labels = (0..=steps as u32).map(|i| compact(f64::from(i) * step));
            labels.collect::<Vec<_>>().join(" ")
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
