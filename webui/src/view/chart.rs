//! The curve of the speed as SVG paths, and the same values as data for the script.

use std::collections::BTreeSet;

use crate::{
    history::{BandKey, Event, GAP, Sample},
    state::State,
    view::{
        events::describe,
        plot::{Path, Plot},
        text::decimal,
        window::Window,
    },
};

/// The maximum number of points of a curve; limits the size of the page.
const MAX_POINTS: u64 = 150;
/// A capacity above this multiple of the highest speed does not affect the scale.
const NEAR: f64 = 2.0;
/// The width of the label of a mark, in percent of the chart. It ends at its mark, or starts there if
/// there is no room on the left.
pub(crate) const LABEL_WIDTH: f64 = 14.0;

/// The speed of one version, stacked on the previous ones.
pub(crate) struct Band {
    pub(crate) colour: u8,
    /// Empty for workers that send no heartbeats.
    pub(crate) name: String,
    /// The newest speed; none if the version is gone.
    pub(crate) speed: Option<String>,
    /// The top edge where the version has a speed; of the lowest band all of it, because there must
    /// be a line where the total is zero.
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
    /// Whether the label ends at the mark rather than starts there.
    pub(crate) ends_at_mark: bool,
}

/// The newest point.
pub(crate) struct End {
    /// In percent from the left, and from the top.
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) colour: u8,
}

/// The chart as the template draws it.
pub(crate) struct Chart {
    pub(crate) plot: Plot,
    /// x of the left edge.
    pub(crate) start: f64,
    /// From bottom to top.
    pub(crate) bands: Vec<Band>,
    pub(crate) capacity: Path,
    /// The gridlines: percent from the top, and label.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) end: Option<End>,
    pub(crate) highest: Option<String>,
    pub(crate) marks: Vec<Mark>,
    /// One JSON array per point: second, capacity, and the speed of each band.
    pub(crate) series: Vec<String>,
}

impl Chart {
    pub(crate) fn new(state: &State, events: &[Event], window: Window, now: f64) -> Self {
        let span = window.seconds();
        let step = (span as u64 / MAX_POINTS).max(1);
        // From the start of a step, so that its first sample stays the first.
        let start = (now - span).max(0.0) as u64 / step * step;
        let samples: Vec<&Sample> = state.history.since(start as f64).collect();
        let measured: Vec<&Sample> =
            samples.iter().copied().filter(|sample| sample.speeds.is_some()).collect();
        let last = measured.last().copied();
        let segments: Vec<Vec<&Sample>> =
            measured.chunk_by(|a, b| b.at - a.at <= GAP).map(|part| thinned(part, step)).collect();
        let drawn = segments.concat();

        let highest = drawn.iter().filter_map(|sample| sample.speed()).reduce(f64::max);
        let capacities = samples.iter().filter_map(|sample| sample.capacity.total());
        let near = capacities.filter(|total| highest.is_some_and(|high| *total < NEAR * high));
        let plot = Plot::new(now, span, near.fold(highest.unwrap_or_default(), f64::max));

        let keys: BTreeSet<BandKey> = drawn.iter().flat_map(|sample| sample.bands()).collect();
        let bands = keys.iter().enumerate();
        let end = last.and_then(|last| {
            let colour = last.bands().map(|(colour, _)| colour).max().unwrap_or_default();
            Some(End { left: plot.left(last.at), top: plot.y(last.speed()?) / 10.0, colour })
        });
        let mut ticks = plot.ticks();
        if highest.is_none() {
            // Without a speed there is no scale, only the bottom line.
            ticks.truncate(1);
        }
        Self {
            start: plot.x(now) - span,
            bands: bands.map(|(i, key)| Band::new(key, i == 0, &segments, last, &plot)).collect(),
            capacity: plot.capacity(&samples),
            ticks,
            end,
            highest: highest.map(decimal),
            marks: marks(events, &plot),
            series: segments.iter().flat_map(|segment| series(segment, &keys, step)).collect(),
            plot,
        }
    }
}

impl Band {
    fn new(
        key: &BandKey,
        is_lowest: bool,
        segments: &[Vec<&Sample>],
        last: Option<&Sample>,
        plot: &Plot,
    ) -> Self {
        let (mut line, mut area) = (Path::default(), Path::default());
        let is_visible = |sample: &&Sample| is_lowest || sample.bands().any(|other| other == *key);
        for segment in segments {
            let edge = |sample: &Sample| (plot.x(sample.at), plot.y(sample.stacked_rate(key)));
            for piece in segment.chunk_by(|a, b| is_visible(a) == is_visible(b)) {
                if is_visible(&piece[0]) {
                    for (i, sample) in piece.iter().enumerate() {
                        let (x, y) = edge(sample);
                        line.push(if i == 0 { "M" } else { "" }, x, y);
                    }
                }
            }
            let (first, end) = (segment[0], segment[segment.len() - 1]);
            area.push("M", plot.x(first.at), 1000.0);
            for sample in segment {
                let (x, y) = edge(sample);
                area.push("", x, y);
            }
            area.push("", plot.x(end.at), 1000.0);
        }
        let speed = last.and_then(|last| last.rate(key)).map(decimal);
        Self { colour: key.0, name: key.1.to_owned(), speed, line, area }
    }
}

/// Whether a sample is the first one of its step, by the clock.
fn starts_step(segment: &[&Sample], i: usize, step: u64) -> bool {
    let slot = |i: usize| segment[i].at as u64 / step;
    i == 0 || slot(i - 1) != slot(i)
}

/// The first sample of each step, so that a new sample changes no other point; and the last one.
fn thinned<'a>(segment: &[&'a Sample], step: u64) -> Vec<&'a Sample> {
    let last = segment.len() - 1;
    let keeps = |i: &usize| *i == last || starts_step(segment, *i, step);
    (0..segment.len()).filter(keeps).map(|i| segment[i]).collect()
}

/// The data of a thinned segment. A last sample within a step is drawn but is not part of the data,
/// because the next sample replaces it.
fn series(segment: &[&Sample], keys: &BTreeSet<BandKey>, step: u64) -> Vec<String> {
    let point = |sample: &Sample| {
        let capacity = sample.capacity.total();
        let capacity = capacity.map_or("null".to_owned(), |capacity| format!("{capacity:.2}"));
        let rates = keys.iter().map(|key| sample.rate(key).unwrap_or_default());
        let rates: String = rates.map(|rate| format!(",{rate:.2}")).collect();
        format!("[{},{capacity}{rates}]", sample.at as u64)
    };
    let indexes = (0..segment.len()).filter(|i| starts_step(segment, *i, step));
    indexes.map(|i| point(segment[i])).collect()
}

/// The marks of events, newest first. A label must not overlap those of newer events.
fn marks(events: &[Event], plot: &Plot) -> Vec<Mark> {
    let mut free = 100.0 + LABEL_WIDTH;
    let mark = |event: &Event| {
        let left = plot.left(event.after.at);
        let ends_at_mark = left >= LABEL_WIDTH;
        let label_end = if ends_at_mark { left } else { left + LABEL_WIDTH };
        let has_room = label_end < free;
        let label = if has_room { describe(event).label } else { String::new() };
        free = if has_room { label_end - LABEL_WIDTH } else { free };
        Mark { x: plot.x(event.after.at), left, label, ends_at_mark }
    };
    events.iter().rev().map(mark).collect()
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
            assert!(seen.len() > 10 && areas.lines().count() <= MAX_POINTS as usize + 4);
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
        assert_eq!(chart.end.unwrap().colour, 1);

        world.workers.pop();
        world.run(60);
        let chart = drawn(&world, Window::Five);
        let end = |band: &Band| pieces(&band.line).last().unwrap().last().unwrap().0;
        assert!(end(&chart.bands[1]) < end(&chart.bands[0]) - 50.0);
        assert_eq!((chart.bands[1].speed.as_deref(), chart.end.unwrap().colour), (None, 0));
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
        let edges = labels.map(|mark| {
            let width = if mark.ends_at_mark { -LABEL_WIDTH } else { LABEL_WIDTH };
            (mark.left.min(mark.left + width), mark.left.max(mark.left + width))
        });
        let edges: Vec<(f64, f64)> = edges.collect();
        assert!(edges.len() > 3 && chart.marks.len() == 18, "{edges:?}");
        assert!(edges.windows(2).all(|pair| pair[1].1 < pair[0].0 + 1e-9), "{edges:?}");
        assert!(edges.iter().all(|(left, right)| (0.0..=100.0).contains(left) && *right <= 100.0));
        assert_eq!(chart.marks[0].label, "19 workers");
    }
}
