//! The CPU utilisation of this host; in a container, of the whole node.

use std::fs;

/// The processor times of the host at the last call.
#[derive(Default)]
pub(crate) struct Cpu {
    last: Option<Times>,
}

/// Time of all processors since the start of the host, in clock ticks.
#[derive(Clone, Copy)]
struct Times {
    idle: f64,
    total: f64,
}

impl Cpu {
    /// The share of time, from 0 to 1, that the processors were busy since the last call; none at
    /// the first call and on a host without /proc.
    pub(crate) fn usage(&mut self) -> Option<f64> {
        let now = Times::parse(&fs::read_to_string("/proc/stat").ok()?)?;
        let last = self.last.replace(now)?;
        let total = now.total - last.total;
        (total > 0.0).then(|| (1.0 - (now.idle - last.idle) / total).clamp(0.0, 1.0))
    }
}

impl Times {
    /// Reads the first line of /proc/stat.
    ///
    /// Source: proc_stat(5), <https://man7.org/linux/man-pages/man5/proc_stat.5.html>.
    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // The time of guests, after the eighth field, is part of the first two.
        let times: Vec<f64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
        let idle = times.get(3)? + times.get(4)?;
        Some(Self { idle, total: times.iter().sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iowait_counts_as_idle() {
        let times = Times::parse("cpu  10 20 30 40 50 1 2 3 99 99\ncpu0 1 2 3\n").unwrap();
        assert_eq!((times.idle, times.total), (90.0, 156.0));
        for invalid in ["", "cpu  1 2 3", "intr 1 2 3 4 5"] {
            assert!(Times::parse(invalid).is_none(), "{invalid}");
        }
    }

    #[test]
    fn usage_is_known_after_the_second_call() {
        let mut cpu = Cpu { last: Some(Times { idle: 0.0, total: 0.0 }) };
        if let Some(usage) = cpu.usage() {
            assert!((0.0..=1.0).contains(&usage), "{usage}");
            assert!(cpu.last.is_some());
        }
        assert!(Cpu::default().usage().is_none());
    }
}
