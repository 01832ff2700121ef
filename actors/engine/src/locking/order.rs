//! The rules that a request is held to before it may wait: L7, L13, L14.
//!
//! Owns the acquisition order and what it means that a lock is covered by those held. Called by the
//! table only, except for the name of the configuration lock. Deliberately absent: other jobs.

use std::collections::BTreeMap;

use gantry_model::locks::{LockChange, LockLevel, LockMember, LockMode, LockName};

use super::event::LockRefusal;

/// Most changes in one request.
///
/// Lower: opcodes that name each instance of a big cluster (20,000 of them, with nodes and their
/// resources) have to take the set instead and lock out everybody. Higher: one message keeps the
/// lock actor busy for longer than a hundred milliseconds, during which nobody is granted anything.
pub const CHANGES_PER_REQUEST_MAX: usize = 65_536;

/// What a job holds.
pub(super) type Held = BTreeMap<LockName, LockMode>;

const CONFIG: &str = "config";

/// The configuration lock, `cluster/config` (L7). It comes after all others, so it may be taken at
/// any point; it is no member of the cluster level's set.
#[must_use]
pub fn config_lock() -> LockName {
    LockName { level: LockLevel::Cluster, member: LockMember::One(CONFIG.into()) }
}

pub(super) fn is_config(name: &LockName) -> bool {
    name.level == LockLevel::Cluster
        && matches!(&name.member, LockMember::One(member) if member == CONFIG)
}

/// Sorts in the global order: by name, but the configuration lock last.
fn place(name: &LockName) -> (bool, &LockName) {
    (is_config(name), name)
}

/// One change, and whether anybody can be in its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ask {
    pub(super) name: LockName,
    pub(super) change: LockChange,
    /// Not a release and not covered by what the job holds. What a job holds does not change while
    /// it waits, so neither does this.
    wanted: bool,
}

impl Ask {
    /// The mode in which this has to be obtained from others.
    pub(super) fn wanted(&self) -> Option<LockMode> {
        match self.change {
            LockChange::Hold(mode) if self.wanted => Some(mode),
            LockChange::Hold(_) | LockChange::Release => None,
        }
    }
}

/// Turns changes into a request, ordered by name, or says which rule they break.
pub(super) fn request(
    changes: Vec<(LockName, LockChange)>,
    held: Option<&Held>,
) -> Result<Vec<Ask>, LockRefusal> {
    if changes.len() > CHANGES_PER_REQUEST_MAX {
        let n_changes = changes.len();
        return Err(LockRefusal::TooManyChanges { n_changes, max: CHANGES_PER_REQUEST_MAX });
    }
    let changes = distinct(changes)?;
    let Some(held) = held else {
        let ask = |(name, change)| Ask { name, change, wanted: change != LockChange::Release };
        return Ok(changes.into_iter().map(ask).collect());
    };
    let config = held.get_key_value(&config_lock());
    let highest = config.or_else(|| held.last_key_value()).map(|(name, _)| name);
    changes.into_iter().map(|(name, change)| judge(name, change, held, highest)).collect()
}

/// Sorts by name; refuses what is named twice.
pub(super) fn distinct<T>(
    mut changes: Vec<(LockName, T)>,
) -> Result<Vec<(LockName, T)>, LockRefusal> {
    changes.sort_by(|(one, _), (other, _)| one.cmp(other));
    match changes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(LockRefusal::NamedTwice { name: pair[0].0.clone() }),
        None => Ok(changes),
    }
}

fn judge(
    name: LockName,
    change: LockChange,
    held: &Held,
    highest: Option<&LockName>,
) -> Result<Ask, LockRefusal> {
    let LockChange::Hold(mode) = change else {
        return Ok(Ask { name, change, wanted: false });
    };
    if is_covered(&name, mode, held) {
        return Ok(Ask { name, change, wanted: false });
    }
    if let Some(highest) = highest.filter(|highest| place(&name) < place(highest)) {
        return Err(LockRefusal::OutOfOrder { name, highest: highest.clone() });
    }
    let set_held = is_member(&name) && held.contains_key(&LockName::set(name.level));
    if mode == LockMode::Exclusive && set_held {
        return Err(LockRefusal::SetHeldShared { name });
    }
    Ok(Ask { name, change, wanted: true })
}

/// Whether a lock belongs to the set of its level.
pub(super) fn is_member(name: &LockName) -> bool {
    name.member != LockMember::Set && !is_config(name)
}

/// Whether what is held, the lock or its set, keeps all others away that `mode` would.
pub(super) fn is_covered(name: &LockName, mode: LockMode, held: &Held) -> bool {
    let suffices = |name: &LockName| held.get(name).is_some_and(|has| *has >= mode);
    suffices(name) || is_member(name) && suffices(&LockName::set(name.level))
}
