//! How fast this machine hashes: the costs of the hashers are those of some other machine.

use std::time::Duration;

/// Older work counts for less and less.
const MEMORY: Duration = Duration::from_secs(4);

/// Work done: what it should have taken, and what it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    nominal: Duration,
    elapsed: Duration,
}

impl Pace {
    /// As fast as the costs say, until more is known.
    pub(super) const NOMINAL: Self =
        Self { nominal: Duration::from_secs(1), elapsed: Duration::from_secs(1) };
    /// No work.
    pub(super) const NONE: Self = Self { nominal: Duration::ZERO, elapsed: Duration::ZERO };

    /// Adds work.
    pub(super) fn add(&mut self, other: Self) {
        self.nominal = self.nominal.saturating_add(other.nominal);
        self.elapsed = self.elapsed.saturating_add(other.elapsed);
        while self.elapsed > MEMORY {
            self.nominal /= 2;
            self.elapsed /= 2;
        }
    }

    /// Adds work that should have taken `nominal`.
    pub(super) fn record(&mut self, nominal: Duration, elapsed: Duration) {
        self.add(Self { nominal, elapsed });
    }

    /// What `nominal` takes here.
    pub(super) fn estimate(&self, nominal: Duration) -> Duration {
        let ratio = self.elapsed.as_secs_f64() / self.nominal.as_secs_f64();
        // Whatever a stopped clock or machine says.
        let ratio = if ratio.is_finite() { ratio.clamp(0.01, 100.0) } else { 1.0 };
        Duration::try_from_secs_f64(nominal.as_secs_f64() * ratio).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_machine_is_found_out_and_forgotten() {
        let mut pace = Pace::NOMINAL;
        assert_eq!(pace.estimate(SECOND), SECOND);
        for _ in 0..100 {
            pace.record(SECOND, 3 * SECOND);
        }
        let slow = pace.estimate(SECOND).as_secs_f64();
        assert!((2.9..3.0001).contains(&slow), "{slow}");
        for _ in 0..100 {
            pace.record(SECOND, SECOND / 2);
        }
        let fast = pace.estimate(SECOND).as_secs_f64();
        assert!((0.4999..0.6).contains(&fast), "{fast}");
    }

    #[test]
    fn nonsense_is_bounded() {
        let mut pace = Pace::NONE;
        assert_eq!(pace.estimate(SECOND), SECOND);
        pace.record(Duration::ZERO, Duration::MAX);
        assert_eq!(pace.estimate(Duration::MAX), Duration::MAX);
        pace = Pace::NONE;
        pace.record(Duration::from_nanos(1), SECOND);
        assert_eq!(pace.estimate(SECOND), 100 * SECOND);
    }
}
