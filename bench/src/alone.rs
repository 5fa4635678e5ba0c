//! The physical limit: random bytes and SHA-256, with no network.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::bare::Done;

/// Hashes between two looks at the clock.
const STRIDE: u64 = 1024;

/// Hashes on so many threads for so many seconds, and prints what was done.
pub(crate) fn run(threads: usize, seconds: u64) -> Result<()> {
    let (started, length) = (Instant::now(), Duration::from_secs(seconds));
    let hash = move || {
        let (mut random, mut bytes, mut hashes) = (rand::rng(), [0; 32], 0);
        while started.elapsed() < length {
            for _ in 0..STRIDE {
                random.fill_bytes(&mut bytes);
                black_box(Sha256::digest(bytes));
            }
            hashes += STRIDE;
        }
        hashes
    };
    let threads: Vec<_> = (0..threads).map(|_| thread::spawn(hash)).collect();
    let mut hashes = 0;
    for thread in threads {
        hashes += thread.join().map_err(|_| anyhow!("a thread has died"))?;
    }
    Done { hashes, seconds: started.elapsed().as_secs_f64(), p50: None }.print()
}
