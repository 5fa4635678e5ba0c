//! The work that no heartbeat reports: that of the original's workers.

use store::Snapshot;

use crate::rates::{Series, WINDOW};

/// Their work arrives in lumps, so the minimum time to measure it is longer, in seconds.
const MIN_WINDOW: f64 = 6.0;
/// Without heartbeats for this long, in seconds, all work counts as theirs, because heartbeats may
/// be missing although workers add their hashes.
const NO_HEARTBEATS: f64 = 5.0;

/// Units of work that are in the counter `hashes` but in no heartbeat.
#[derive(Default)]
pub(crate) struct Others {
    units: Series,
    /// The last values of the counters: all units, and those that [`store::Store::add`] added.
    counters: Option<(u64, u64)>,
    /// When there was a heartbeat, in seconds since the Unix epoch.
    last_heartbeat: f64,
}

impl Others {
    /// Adds the increase of the counters.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        if snapshot.workers.as_ref().is_none_or(|workers| !workers.is_empty()) {
            self.last_heartbeat = snapshot.now;
        }
        let before = self.counters;
        self.counters = snapshot.hashes().zip(snapshot.added);
        let (Some((all_before, added_before)), Some((all, added))) = (before, self.counters) else {
            return self.units.add(snapshot.now, 0.0);
        };
        let Some(increase) = all.checked_sub(all_before) else {
            // The counter was reset.
            self.units = Series::default();
            return;
        };
        let has_heartbeats = snapshot.now - self.last_heartbeat < NO_HEARTBEATS;
        let reported = if has_heartbeats { added.saturating_sub(added_before) } else { 0 };
        self.units.add(snapshot.now, increase.saturating_sub(reported) as f64);
    }

    /// Whether the counters cannot be read, or were read only once.
    pub(crate) fn is_unknown(&self) -> bool {
        self.counters.is_none() || self.units.is_short()
    }

    /// Units per second; none while the rate is being measured.
    pub(crate) fn rate(&self, now: f64) -> Option<f64> {
        match self.units.is_constant() {
            true => (!self.is_unknown()).then_some(0.0),
            false => self.units.rate(now - WINDOW, MIN_WINDOW),
        }
    }
}
