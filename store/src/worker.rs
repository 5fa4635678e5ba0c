//! What a worker tells everybody about itself.

use serde::{Deserialize, Serialize};

/// A worker at work. Its counters only grow while it runs, so that two sightings make a speed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Worker {
    /// The name of its host, which is that of its container or pod.
    pub host: String,
    /// The version of the program, as its image is tagged.
    pub version: String,
    /// Loops that mine side by side.
    pub loops: u16,
    /// Units of work done.
    pub hashes: u64,
    /// Coins found.
    pub coins: u64,
    /// The rngs that answered it within the last ten seconds, by name.
    pub rngs: Vec<Rng>,
    /// Where the time of all its loops went.
    pub stages: StageTimes,
    /// Why it does not mine right now.
    pub trouble: Option<String>,
}

/// An rng that a worker met.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Rng {
    /// The name of its host.
    pub name: String,
    /// Requests that it works on at once.
    pub lanes: u16,
}

/// Seconds spent in each stage of all units of work.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct StageTimes {
    /// The worker's pause before each unit of work.
    pub pause: f64,
    /// Waiting for a lane of rng.
    pub rng_queue: f64,
    /// The simulated delay of rng.
    pub rng_delay: f64,
    /// The simulated delay of hasher.
    pub hasher_delay: f64,
    /// Work of rng and hasher.
    pub work: f64,
    /// Connecting, sending and receiving.
    pub network: f64,
    /// Reporting to redis.
    pub redis: f64,
    /// Answers of peers that do not say where their time went.
    pub unknown: f64,
}
