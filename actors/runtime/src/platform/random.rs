//! Randomness: the operating system's, or a seed's.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of random numbers.
pub(super) enum Random {
    /// Seeded by the operating system, per thread.
    Real,
    Seeded(Box<Mutex<StdRng>>),
}

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(super) fn next_u64(&self) -> u64 {
        match self {
            Self::Real => rand::rng().next_u64(),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).next_u64(),
        }
    }

    pub(super) fn fill(&self, bytes: &mut [u8]) {
        match self {
            Self::Real => rand::rng().fill_bytes(bytes),
            Self::Seeded(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
            }
        }
    }

    /// A number below `bound`. The tiny bias of a remainder does not matter for latencies.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }
}
