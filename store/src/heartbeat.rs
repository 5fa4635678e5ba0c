//! What a worker publishes about itself.

use std::{
    collections::HashMap,
    ops::{Index, IndexMut},
};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The state of a worker. Its counters only grow during a run, so two heartbeats give a speed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Heartbeat {
    /// The name of its host, which is that of its container or pod.
    pub host: String,
    /// The version of the program, as its image is tagged.
    pub version: String,
    /// Loops that mine in parallel.
    pub loops: u16,
    /// Units of work in one request to rng and one to hasher.
    pub batch: u16,
    /// The configured pause before each request to rng, in seconds; none from older workers.
    pub pause: Option<f64>,
    /// The configured delay of hasher, in seconds, if it is known.
    pub hasher_delay: Option<f64>,
    /// Units of work done.
    pub hashes: u64,
    /// Coins found.
    pub coins: u64,
    /// The rngs that responded to it within the last minute, by name.
    pub rngs: Vec<Rng>,
    /// Where the time of all its loops went.
    pub stages: StageTimes,
    /// Loops that wait for a response of rng.
    pub awaiting_rng: u16,
    /// Loops that wait for a response of hasher.
    pub awaiting_hasher: u16,
    /// How busy the processors of its host are, from 0 to 1, if known.
    pub cpu: Option<f64>,
    /// Why it is not mining now.
    #[serde(rename = "trouble")]
    pub last_error: Option<String>,
    /// The part of the application that caused this error.
    pub failing_part: Option<Part>,
}

/// A part of the application that workers need.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The service rng.
    Rng,
    /// The service hasher.
    Hasher,
    /// The store; also stands for a part that only newer workers know.
    #[serde(other)]
    Redis,
}

/// An rng that a worker uses, and the totals of its responses to this worker.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Rng {
    /// The name of its host.
    pub name: String,
    /// Requests that it processes at once.
    pub lanes: u16,
    /// Its configured delay, in seconds, if it is known.
    pub delay: Option<f64>,
    /// Requests served.
    pub served: u64,
    /// How long these requests waited for a lane, in seconds.
    pub queue_seconds: f64,
    /// How long these requests occupied a lane, in seconds; delays included.
    pub busy_seconds: f64,
}

/// A stage of a unit of work.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The worker's pause before the unit of work.
    Pause,
    /// Waiting for a lane of rng.
    RngQueue,
    /// The simulated delay of rng.
    RngDelay,
    /// The simulated delay of hasher.
    HasherDelay,
    /// Work of rng and hasher.
    Work,
    /// Connecting, sending and receiving.
    Network,
    /// Writing to Redis.
    Redis,
    /// Requests whose response has no `Server-Timing`.
    Unknown,
}

impl Stage {
    /// All stages, in the order of their declaration.
    pub const ALL: [Self; 8] = {
        use Stage::*;
        [Pause, RngQueue, RngDelay, HasherDelay, Work, Network, Redis, Unknown]
    };

    /// The name in JSON and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::RngQueue => "rng_queue",
            Self::RngDelay => "rng_delay",
            Self::HasherDelay => "hasher_delay",
            Self::Work => "work",
            Self::Network => "network",
            Self::Redis => "redis",
            Self::Unknown => "unknown",
        }
    }
}

/// Seconds spent in each stage; in JSON an object with a field per stage.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(from = "HashMap<String, Value>")]
pub struct StageTimes([f64; Stage::ALL.len()]);

impl StageTimes {
    /// The seconds of all stages together.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl Index<Stage> for StageTimes {
    type Output = f64;

    fn index(&self, stage: Stage) -> &f64 {
        &self.0[stage as usize]
    }
}

impl IndexMut<Stage> for StageTimes {
    fn index_mut(&mut self, stage: Stage) -> &mut f64 {
        &mut self.0[stage as usize]
    }
}

impl From<HashMap<String, Value>> for StageTimes {
    fn from(fields: HashMap<String, Value>) -> Self {
        let seconds = |stage: Stage| fields.get(stage.name()).and_then(Value::as_f64);
        Self(Stage::ALL.map(|stage| seconds(stage).unwrap_or_default()))
    }
}

impl Serialize for StageTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Stage::ALL.map(|stage| (stage.name(), self[stage])))
    }
}
