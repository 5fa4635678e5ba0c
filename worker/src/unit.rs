//! One unit of work, and how long each of its parts took.

use std::time::Duration;

use chassis::ServerTiming;
use store::Stage;

use crate::transport::Peer;

/// Maximum error from rounding of the times in a response.
const ROUNDING: Duration = Duration::from_millis(1);

/// A part of a unit of work.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timing {
    /// A whole request, which consists of several stages.
    Request(Peer),
    /// A stage of the unit.
    Stage(Stage),
}

/// A unit of work that was done, which makes a whole batch of hashes.
#[derive(Debug)]
pub struct Unit {
    /// How long each part took; a stage may occur more than once.
    pub timings: Vec<(Timing, Duration)>,
}

impl Unit {
    pub(crate) fn new() -> Self {
        // The pause, and two requests of up to five stages.
        Self { timings: Vec::with_capacity(11) }
    }

    pub(crate) fn add_stage(&mut self, stage: Stage, took: Duration) {
        self.timings.push((Timing::Stage(stage), took));
    }

    /// Adds a request, split into the stages that its response reports.
    pub(crate) fn add_request(&mut self, peer: Peer, took: Duration, timing: Option<ServerTiming>) {
        self.timings.push((Timing::Request(peer), took));
        let total = |timing: &ServerTiming| {
            timing.queue.saturating_add(timing.delay).saturating_add(timing.work)
        };
        // A peer cannot have taken longer than the whole request.
        let Some(timing) = timing.filter(|timing| total(timing) <= took + ROUNDING) else {
            return self.add_stage(Stage::Unknown, took);
        };
        match peer {
            Peer::Rng => {
                self.add_stage(Stage::RngQueue, timing.queue);
                self.add_stage(Stage::RngDelay, timing.delay);
            }
            Peer::Hasher => self.add_stage(Stage::HasherDelay, timing.delay),
        }
        self.add_stage(Stage::Work, timing.work);
        self.add_stage(Stage::Network, took.saturating_sub(total(&timing)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_times_of_a_peer_count_as_unknown() {
        let day = Duration::from_secs(24 * 3600);
        for (queue, delay) in [(Duration::MAX, Duration::MAX), (day, Duration::ZERO)] {
            let (mut unit, took) = (Unit::new(), Duration::from_millis(5));
            let timing = ServerTiming { queue, delay, work: Duration::ZERO };
            unit.add_request(Peer::Rng, took, Some(timing));
            let expected =
                [(Timing::Request(Peer::Rng), took), (Timing::Stage(Stage::Unknown), took)];
            assert_eq!(unit.timings, expected);
        }
    }
}
