//! Random numbers from a seed, the same in every release: kept seeds must keep their meaning.

use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True in `per_mille` of a thousand cases.
    pub(super) fn hits(&mut self, per_mille: u16) -> bool {
        self.next() % 1000 < u64::from(per_mille)
    }

    /// Something from `min` to `max`, in microseconds.
    pub(super) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let span = u64::try_from(max.saturating_sub(min).as_micros()).unwrap_or(u64::MAX);
        min + Duration::from_micros(self.next() % span.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        // The published first outputs of SplitMix64 for this seed.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.next(), 6_457_827_717_110_365_317);
        assert_eq!(dice.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_range_is_kept() {
        let mut dice = Dice::new(1);
        let (min, max) = (Duration::from_micros(10), Duration::from_micros(12));
        let drawn: Vec<_> = (0..200).map(|_| dice.between(min, max)).collect();
        assert!(drawn.iter().all(|d| (min..=max).contains(d)));
        assert!(drawn.contains(&min) && drawn.contains(&max));
    }
}
