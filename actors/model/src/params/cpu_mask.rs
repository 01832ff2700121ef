//! Masks of processors (H54): `all`, `0-2,5`, or one per virtual CPU: `0-1:all:3`.

/// Highest processor of a node that a mask can name. Linux is built for at most 8,192; a higher
/// number is a mistake.
pub const CPU_MAX: u32 = 8_191;

/// Processors for one thread, or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuSet {
    /// Any processor.
    All,
    /// These, rising, each once.
    Some(Vec<u32>),
}

impl CpuSet {
    fn parse(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let mut cpus = Vec::new();
        for piece in text.split(',') {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last): (u32, u32) = (number(first)?, number(last)?);
            if first > last || last > CPU_MAX {
                return None;
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Some(Self::Some(cpus))
    }

    /// As `taskset -c` takes it; nothing for any processor.
    #[must_use]
    pub fn list(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Some(cpus) => {
                let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
                Some(cpus.join(","))
            }
        }
    }
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Processors for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuMask {
    /// For the guest as a whole.
    Guest(CpuSet),
    /// For each virtual CPU.
    PerCpu(Vec<CpuSet>),
}

/// A text is not a mask of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mask of processors")]
pub struct NotACpuMask;

impl CpuMask {
    /// Reads a mask.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, NotACpuMask> {
        let sets: Option<Vec<CpuSet>> = text.split(':').map(CpuSet::parse).collect();
        let mut sets = sets.ok_or(NotACpuMask)?;
        match sets.len() {
            1 => Ok(Self::Guest(sets.remove(0))),
            _ => Ok(Self::PerCpu(sets)),
        }
    }

    /// For how many virtual CPUs, if for each.
    #[must_use]
    pub fn n_sets(&self) -> Option<usize> {
        match self {
            Self::Guest(_) => None,
            Self::PerCpu(sets) => Some(sets.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: H54
    #[test]
    fn lists_ranges_and_all_are_understood() {
        let some = |cpus: &[u32]| CpuSet::Some(cpus.to_vec());
        assert_eq!(CpuMask::parse("all"), Ok(CpuMask::Guest(CpuSet::All)));
        assert_eq!(CpuMask::parse("4,0-2,1"), Ok(CpuMask::Guest(some(&[0, 1, 2, 4]))));
        let per_cpu = CpuMask::parse("0-1:all:3").expect("a mask");
        assert_eq!(per_cpu, CpuMask::PerCpu(vec![some(&[0, 1]), CpuSet::All, some(&[3])]));
        assert_eq!(per_cpu.n_sets(), Some(3));
        assert_eq!(some(&[0, 2]).list().as_deref(), Some("0,2"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "x", "1-", "-1", "3-1", "1,,2", "0:", "+1", "0-99999999", "1:2:x"] {
            assert_eq!(CpuMask::parse(bad), Err(NotACpuMask), "{bad}");
        }
    }
}
