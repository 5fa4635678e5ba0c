//! The last half hour: a sample for each second, and what happened between them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use store::{HISTORY, Part};

use crate::capacity::Capacity;

/// A longer time without a sample is a gap, in seconds.
pub(crate) const GAP: f64 = 5.0;
/// A change within this time after the previous one extends its event, in seconds.
const MERGE_TIME: f64 = 10.0;
/// The number of colours for versions. The next number is the colour of all other versions.
pub(crate) const COLOURS: u8 = 5;

/// Colour and name of a version, in the order of the chart.
pub(crate) type BandKey<'a> = (u8, &'a str);

/// The state of the application in one second. It is stored, so that all replicas show the same
/// past.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch, by the clock of the store.
    pub(crate) at: f64,
    /// The speed of each version; none while it was being measured.
    pub(crate) speeds: Option<Vec<Speed>>,
    /// The speed that was possible.
    pub(crate) capacity: Capacity,
    /// The number of workers alive.
    pub(crate) workers: usize,
    /// The versions of these workers.
    pub(crate) versions: BTreeSet<String>,
    /// The number of workers that cannot reach a part.
    pub(crate) failing: BTreeMap<Part, usize>,
    /// The number of rngs.
    pub(crate) rngs: usize,
    /// How long redis could not be read before, in seconds.
    pub(crate) outage: Option<f64>,
}

/// The speed of one version.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Speed {
    /// The version; empty for workers that send no heartbeats.
    pub(crate) version: String,
    /// The number of its colour.
    pub(crate) colour: u8,
    /// Hashes per second.
    pub(crate) rate: f64,
}

impl Sample {
    /// The speed of all versions together.
    pub(crate) fn speed(&self) -> Option<f64> {
        self.speeds.as_ref().map(|speeds| speeds.iter().fold(0.0, |sum, speed| sum + speed.rate))
    }

    /// The versions that work.
    pub(crate) fn bands(&self) -> impl Iterator<Item = BandKey<'_>> {
        self.speeds.iter().flatten().map(Speed::key)
    }

    /// The speed of a version, if it works.
    pub(crate) fn rate(&self, key: &BandKey) -> Option<f64> {
        let mut speeds = self.speeds.iter().flatten();
        speeds.find(|speed| speed.key() == *key).map(|speed| speed.rate)
    }

    /// The speed of a version and of those below it in the chart.
    pub(crate) fn stacked_rate(&self, key: &BandKey) -> f64 {
        let speeds = self.speeds.iter().flatten().filter(|speed| speed.key() <= *key);
        speeds.fold(0.0, |sum, speed| sum + speed.rate)
    }

    /// Whether most workers cannot reach a part.
    pub(crate) fn is_down(&self, part: Part) -> bool {
        self.failing.get(&part).is_some_and(|failing| *failing > self.workers / 2)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut sample: Self = serde_json::from_str(text).ok()?;
        for speed in sample.speeds.iter_mut().flatten() {
            speed.rate = speed.rate.clamp(0.0, 1e12);
            speed.colour = speed.colour.min(COLOURS);
        }
        (sample.at >= 0.0).then_some(sample)
    }
}

impl Speed {
    fn key(&self) -> BandKey<'_> {
        (self.colour, &self.version)
    }
}

/// One or more changes between two samples.
#[derive(Debug, PartialEq)]
pub(crate) struct Event<'a> {
    /// The last sample before the first change.
    pub(crate) before: &'a Sample,
    /// The first sample after the last change.
    pub(crate) after: &'a Sample,
    /// Whether there was no sample in between for a while.
    pub(crate) is_gap: bool,
}

/// The samples so far.
#[derive(Default)]
pub(crate) struct History {
    samples: BTreeMap<u64, Sample>,
    colours: BTreeMap<String, u8>,
}

impl History {
    /// The second of the last sample; zero if there is none.
    pub(crate) fn last_second(&self) -> u64 {
        self.samples.last_key_value().map_or(0, |(second, _)| *second)
    }

    /// Adds stored samples of the time until `now`.
    pub(crate) fn add(&mut self, samples: &[String], now: f64) {
        let samples = samples.iter().filter_map(|text| Sample::parse(text));
        for sample in samples.filter(|sample| sample.at < now + GAP) {
            for speed in sample.speeds.iter().flatten() {
                self.colours.insert(speed.version.clone(), speed.colour);
            }
            let second = sample.at as u64;
            // Later samples remain from before the clock went back.
            drop(self.samples.split_off(&second));
            self.samples.insert(second, sample);
        }
        let first = self.last_second().saturating_sub(HISTORY.as_secs());
        self.samples = self.samples.split_off(&first);
        let speeds = self.samples.values().filter_map(|sample| sample.speeds.as_ref());
        let used: BTreeSet<_> = speeds.flatten().map(|speed| &speed.version).collect();
        self.colours.retain(|version, _| used.contains(version));
    }

    /// The colour of a version. A new version gets the first unused colour.
    pub(crate) fn colour(&mut self, version: &str) -> u8 {
        if version.is_empty() {
            return COLOURS;
        }
        let is_free = |colour: &u8| !self.colours.values().any(|used| used == colour);
        let first_free = (0..COLOURS).find(is_free).unwrap_or(COLOURS);
        *self.colours.entry(version.to_owned()).or_insert(first_free)
    }

    /// The colour of a version that has one, otherwise that of the others.
    pub(crate) fn known_colour(&self, version: &str) -> u8 {
        self.colours.get(version).copied().unwrap_or(COLOURS)
    }

    /// The samples since a time, oldest first.
    pub(crate) fn since(&self, start: f64) -> impl DoubleEndedIterator<Item = &Sample> {
        self.samples.range(start.max(0.0) as u64..).map(|(_, sample)| sample)
    }

    /// The events since a time, oldest first.
    pub(crate) fn events(&self, start: f64) -> Vec<Event<'_>> {
        let mut events: Vec<Event> = Vec::new();
        let samples: Vec<_> = self.since(start).collect();
        for (before, after) in samples.windows(2).map(|pair| (pair[0], pair[1])) {
            let is_gap = after.at - before.at > GAP;
            if !is_gap && !differ(before, after) {
                continue;
            }
            match events.last_mut() {
                Some(last) if !is_gap && !last.is_gap && before.at - last.after.at < MERGE_TIME => {
                    last.after = after;
                }
                _ => events.push(Event { before, after, is_gap }),
            }
        }
        events.retain(|event| event.is_gap || differ(event.before, event.after));
        events
    }
}

/// Whether something happened between two samples.
fn differ(before: &Sample, after: &Sample) -> bool {
    fn state(sample: &Sample) -> impl PartialEq {
        let down = [Part::Rng, Part::Hasher].map(|part| sample.is_down(part));
        (sample.workers, &sample.versions, down)
    }
    state(before) != state(after) || have_rngs_changed(before, after)
}

/// Whether the number of rngs changed. A change from or to zero is no event: workers know their rng
/// after its first response.
pub(crate) fn have_rngs_changed(before: &Sample, after: &Sample) -> bool {
    before.rngs != after.rngs && before.rngs > 0 && after.rngs > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::{World, after};

    fn sample(at: f64) -> Sample {
        Sample { at, ..Sample::default() }
    }

    #[test]
    fn samples_of_half_an_hour_are_kept() {
        let mut history = History::default();
        for second in 0..5000 {
            let text = serde_json::to_string(&sample(f64::from(second))).unwrap();
            history.add(&[text], f64::from(second));
        }
        assert_eq!(history.samples.len() as u64, HISTORY.as_secs() + 1);
        assert_eq!(history.last_second(), 4999);
    }

    #[test]
    fn unreadable_samples_are_skipped_and_impossible_values_are_limited() {
        let mut history = History::default();
        let text = r#"{"at": 7, "speeds": [{"rate": -1e300, "colour": 200}, {"rate": 1e300}], "later": 1}"#;
        let texts = ["nonsense", "{}", r#"{"at": "x"}"#, r#"{"at": -1e300}"#, text];
        history.add(&texts.map(str::to_owned), 10.0);
        assert_eq!(history.last_second(), 7);
        assert_eq!(history.since(1.0).next().unwrap().speed(), Some(1e12));
    }

    #[test]
    fn a_version_keeps_its_colour_and_no_other_gets_it() {
        let mut world = after(10, 1);
        let colours = |world: &World| {
            let speeds = world.state.sample().unwrap().speeds.clone().unwrap();
            speeds.into_iter().map(|speed| (speed.version, speed.colour)).collect::<Vec<_>>()
        };
        world.add_worker("v0.2");
        // The name sorts first.
        world.add_worker("a");
        world.run(10);
        let named = |version: &str, colour| (version.to_owned(), colour);
        assert_eq!(colours(&world), [named("v0.1", 0), named("a", 1), named("v0.2", 2)]);
        world.workers.remove(0);
        world.run(10);
        assert_eq!(colours(&world), [named("a", 1), named("v0.2", 2)]);
        world.add_worker("v0.3");
        world.add_worker("v0.4");
        world.add_worker("v0.5");
        world.add_worker("v0.6");
        world.run(10);
        let shown = colours(&world);
        // Beyond the colours are the others. The colour of v0.1 is still in the chart.
        assert_eq!(shown.last().unwrap(), &named("", COLOURS));
        assert_eq!(shown.len(), 5, "{shown:?}");
        assert!(shown.iter().all(|(_, colour)| *colour != 0), "{shown:?}");
    }

    #[test]
    fn a_burst_of_changes_is_one_event_and_its_undoing_is_none() {
        let mut world = after(30, 1);
        for workers in [2, 3, 7, 10] {
            world.scale(workers);
            world.run(3);
        }
        world.run(30);
        let counts = |world: &World| {
            let events = world.state.history.events(0.0);
            events.iter().map(|e| (e.before.workers, e.after.workers)).collect::<Vec<_>>()
        };
        assert_eq!(counts(&world), [(1, 10)]);
        world.scale(9);
        world.run(2);
        world.scale(10);
        world.run(30);
        assert_eq!(counts(&world), [(1, 10)]);
    }

    #[test]
    fn an_outage_is_a_gap_and_an_event() {
        let mut world = after(20, 1);
        for _ in 0..8 {
            world.now += 1.0;
            world.add(Err("redis is unreachable".to_owned()));
        }
        world.run(20);
        let events = world.state.history.events(0.0);
        let [event] = &events[..] else { panic!("{events:?}") };
        assert!(event.is_gap && event.after.outage.is_some_and(|outage| outage > 8.0));
    }
}
