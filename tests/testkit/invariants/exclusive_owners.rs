//! A lock that somebody holds exclusively is held by nobody else.

use std::collections::BTreeMap;

use gantry_engine::state::ClusterState;
use gantry_model::ids::JobId;
use gantry_model::locks::{LockMember, LockMode, LockName, LockRow};

/// In the log: at every revision.
#[must_use]
pub fn in_state(state: &ClusterState) -> Vec<String> {
    let held = state
        .locks
        .iter()
        .flat_map(|(job, held)| held.iter().map(|(name, mode)| (name.clone(), *mode, *job)));
    conflicts(held.collect())
}

/// In the lock table, as it is shown to people.
#[must_use]
pub fn in_rows(rows: &[LockRow]) -> Vec<String> {
    let held = rows.iter().flat_map(|row| {
        let mode = row.mode.unwrap_or(LockMode::Shared);
        row.owners.iter().map(move |job| (row.name.clone(), mode, *job))
    });
    conflicts(held.collect())
}

fn conflicts(held: Vec<(LockName, LockMode, JobId)>) -> Vec<String> {
    let mut by_level: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, mode, job) in held {
        by_level.entry(name.level).or_default().push((name, mode, job));
    }
    let mut wrong = Vec::new();
    for holders in by_level.values() {
        for (i, (name, mode, job)) in holders.iter().enumerate() {
            for (other_name, other_mode, other_job) in &holders[..i] {
                let overlap = name == other_name
                    || name.member == LockMember::Set
                    || other_name.member == LockMember::Set;
                let excludes = [mode, other_mode].contains(&&LockMode::Exclusive);
                if overlap && excludes && job != other_job {
                    wrong.push(format!(
                        "job {job} holds {name} ({}) and job {other_job} holds {other_name} ({})",
                        mode.as_str(),
                        other_mode.as_str()
                    ));
                }
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: LockName, mode: LockMode, owners: &[u64]) -> LockRow {
        let owners = owners.iter().map(|id| JobId(*id)).collect();
        LockRow { name, mode: Some(mode), owners, pending: Vec::new() }
    }

    #[test]
    fn it_finds_two_exclusive_owners_and_a_member_held_beside_its_set() {
        let name = LockName::instance(&crate::ops::instance_name("web1"));
        let set = LockName::set(name.level);
        assert!(in_rows(&[row(name.clone(), LockMode::Shared, &[1, 2])]).is_empty());
        assert_eq!(in_rows(&[row(name.clone(), LockMode::Exclusive, &[1, 2])]).len(), 1);
        let beside = [row(set, LockMode::Exclusive, &[1]), row(name, LockMode::Shared, &[2])];
        assert_eq!(in_rows(&beside).len(), 1);
    }
}
