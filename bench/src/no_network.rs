//! The baseline without a network: random bytes and SHA-256, the physical limit of the machine.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::baseline::RunStats;

/// Hashes between two readings of the clock.
const HASHES_PER_CHECK: u64 = 1024;

/// Hashes on `threads` threads for `seconds` seconds, and prints the statistics.
pub(crate) fn run(threads: usize, seconds: u64) -> Result<()> {
    let (started, duration) = (Instant::now(), Duration::from_secs(seconds));
    let hash = move || {
        let (mut random, mut bytes, mut hashes) = (rand::rng(), [0; 32], 0);
        while started.elapsed() < duration {
            for _ in 0..HASHES_PER_CHECK {
                random.fill_bytes(&mut bytes);
                black_box(Sha256::digest(bytes));
            }
            hashes += HASHES_PER_CHECK;
        }
        hashes
    };
    let threads: Vec<_> = (0..threads).map(|_| thread::spawn(hash)).collect();
    let mut hashes = 0;
    for thread in threads {
        hashes += thread.join().map_err(|_| anyhow!("a thread panicked"))?;
    }
    RunStats { hashes, seconds: started.elapsed().as_secs_f64(), p50: None }.print()
}
