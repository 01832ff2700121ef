//! Who holds and who wants each lock: the index behind the table.
//!
//! Owns which locks are in each other's way: a lock and itself, a set and the members of its level
//! (L12). Called by the table only. Deliberately absent: attempts, rules of order, decisions.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use gantry_model::ids::JobId;
use gantry_model::locks::{LockLevel, LockMember, LockMode, LockName};

use super::order;

/// A place in the queue: lower goes first. The job is the age, because ids of jobs only grow and,
/// unlike an order of arrival, survive a change of leader (L18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Urgency {
    pub(super) priority: i8,
    pub(super) job: JobId,
}

/// An entry of a queue. The urgency may be inherited, so the job is named once more.
pub(super) type Turn = (Urgency, JobId);

/// The modes in which others are in the way of this mode.
fn rivals(mode: LockMode) -> &'static [LockMode] {
    match mode {
        LockMode::Shared => &[LockMode::Exclusive],
        LockMode::Exclusive => &[LockMode::Exclusive, LockMode::Shared],
    }
}

/// Claims by mode. The count is 1, except where one entry stands for all members of a level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Claims<K> {
    shared: BTreeMap<K, u32>,
    exclusive: BTreeMap<K, u32>,
}

impl<K> Default for Claims<K> {
    fn default() -> Self {
        Self { shared: BTreeMap::new(), exclusive: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Claims<K> {
    fn of(&self, mode: LockMode) -> &BTreeMap<K, u32> {
        match mode {
            LockMode::Shared => &self.shared,
            LockMode::Exclusive => &self.exclusive,
        }
    }

    fn of_mut(&mut self, mode: LockMode) -> &mut BTreeMap<K, u32> {
        match mode {
            LockMode::Shared => &mut self.shared,
            LockMode::Exclusive => &mut self.exclusive,
        }
    }

    fn add(&mut self, mode: LockMode, key: K) {
        *self.of_mut(mode).entry(key).or_insert(0) += 1;
    }

    fn remove(&mut self, mode: LockMode, key: K) {
        let claims = self.of_mut(mode);
        if let Some(count) = claims.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&key);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.exclusive.is_empty()
    }
}

/// One lock, or all members of a level taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    held: Claims<JobId>,
    wanted: Claims<Turn>,
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.wanted.is_empty()
    }

    /// Others that hold it in the way of `mode`. A job may come twice.
    pub(super) fn holders_against(
        &self,
        mode: LockMode,
        me: JobId,
    ) -> impl Iterator<Item = JobId> + '_ {
        rivals(mode)
            .iter()
            .flat_map(|rival| self.held.of(*rival).keys().copied())
            .filter(move |job| *job != me)
    }

    /// Among those that want it in the way of `mode` and are more urgent: the least urgent, which
    /// is the one that goes immediately before.
    pub(super) fn nearest_ahead(&self, mode: LockMode, urgency: Urgency) -> Option<JobId> {
        rivals(mode)
            .iter()
            .filter_map(|rival| {
                let ahead = self.wanted.of(*rival).range(..(urgency, JobId(0)));
                ahead.map(|(turn, _)| *turn).next_back()
            })
            .max()
            .map(|(_, job)| job)
    }

    /// The most urgent of the others that want it in the way of `mode`.
    pub(super) fn first_wanted_against(&self, mode: LockMode, me: JobId) -> Option<Urgency> {
        rivals(mode)
            .iter()
            .filter_map(|rival| {
                let mut turns = self.wanted.of(*rival).keys();
                turns.find(|(_, job)| *job != me).map(|(urgency, _)| *urgency)
            })
            .min()
    }

    /// Another job that wants it exclusively and holds `base` in some mode.
    pub(super) fn exclusive_wanter_holding(&self, base: &Self, me: JobId) -> Option<JobId> {
        let mut wanters = self.wanted.exclusive.keys().map(|(_, job)| *job);
        wanters.find(|job| *job != me && base.is_held_by(*job))
    }

    pub(super) fn is_held_by(&self, job: JobId) -> bool {
        self.held.shared.contains_key(&job) || self.held.exclusive.contains_key(&job)
    }

    /// The mode it is held in, and by whom.
    pub(super) fn holders(&self) -> (Option<LockMode>, Vec<JobId>) {
        for mode in [LockMode::Exclusive, LockMode::Shared] {
            let held = self.held.of(mode);
            if !held.is_empty() {
                return (Some(mode), held.keys().copied().collect());
            }
        }
        (None, Vec::new())
    }

    /// Those who want it, first the one who goes first.
    pub(super) fn queue(&self) -> Vec<(LockMode, JobId)> {
        let mut turns: Vec<(Turn, LockMode)> = Vec::new();
        for mode in [LockMode::Shared, LockMode::Exclusive] {
            turns.extend(self.wanted.of(mode).keys().map(|turn| (*turn, mode)));
        }
        turns.sort_unstable();
        turns.into_iter().map(|((_, job), mode)| (mode, job)).collect()
    }
}

/// The locks of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Level {
    set: Cell,
    /// All of `members` in one: the intents that a set lock has to respect (L12).
    any_member: Cell,
    /// Only locks that somebody holds or wants.
    members: BTreeMap<String, Cell>,
}

/// All locks that anybody holds or wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Cells {
    levels: [Level; LockLevel::ALL.len()],
    /// Belongs to no level (L7): it implies no intent on the cluster's set.
    config: Cell,
    /// How many locks are held, each counted once for every job that holds it.
    n_held: usize,
}

impl Cells {
    fn level(&self, level: LockLevel) -> &Level {
        &self.levels[level as usize]
    }

    /// The lock itself, and what else can be in its way: a member's set, or a set's members.
    pub(super) fn related(&self, name: &LockName) -> impl Iterator<Item = &Cell> + Clone {
        let level = self.level(name.level);
        let (own, other) = match &name.member {
            LockMember::Set => (Some(&level.set), Some(&level.any_member)),
            LockMember::One(_) if order::is_config(name) => (Some(&self.config), None),
            LockMember::One(member) => (level.members.get(member), Some(&level.set)),
        };
        own.into_iter().chain(other)
    }

    /// The set of a level.
    pub(super) fn set(&self, level: LockLevel) -> &Cell {
        &self.level(level).set
    }

    /// All members of a level in one.
    pub(super) fn any_member(&self, level: LockLevel) -> &Cell {
        &self.level(level).any_member
    }

    /// The lock itself, if anybody holds or wants it.
    pub(super) fn own(&self, name: &LockName) -> Option<&Cell> {
        match &name.member {
            LockMember::Set => Some(self.set(name.level)),
            LockMember::One(_) if order::is_config(name) => Some(&self.config),
            LockMember::One(member) => self.level(name.level).members.get(member),
        }
    }

    pub(super) fn hold(&mut self, name: &LockName, mode: LockMode, job: JobId) {
        self.n_held += 1;
        self.change(name, |cell| cell.held.add(mode, job));
    }

    pub(super) fn let_go(&mut self, name: &LockName, mode: LockMode, job: JobId) {
        self.n_held -= 1;
        self.change(name, |cell| cell.held.remove(mode, job));
    }

    /// How many locks are held, each counted once for every job that holds it.
    pub(super) fn n_held(&self) -> usize {
        self.n_held
    }

    pub(super) fn want(&mut self, name: &LockName, mode: LockMode, turn: Turn) {
        self.change(name, |cell| cell.wanted.add(mode, turn));
    }

    pub(super) fn want_no_more(&mut self, name: &LockName, mode: LockMode, turn: Turn) {
        self.change(name, |cell| cell.wanted.remove(mode, turn));
    }

    /// Applies a change to a lock and to what stands for all members of its level. Locks of which
    /// nothing is left are forgotten: the table is as large as what is held and wanted.
    fn change(&mut self, name: &LockName, change: impl Fn(&mut Cell)) {
        if order::is_config(name) {
            return change(&mut self.config);
        }
        let level = &mut self.levels[name.level as usize];
        let LockMember::One(member) = &name.member else {
            return change(&mut level.set);
        };
        change(&mut level.any_member);
        // One search in what may be a large map; a copy of the name costs less than a second one.
        match level.members.entry(member.clone()) {
            Entry::Occupied(mut known) => {
                change(known.get_mut());
                if known.get().is_empty() {
                    known.remove();
                }
            }
            Entry::Vacant(free) => {
                let mut cell = Cell::default();
                change(&mut cell);
                if !cell.is_empty() {
                    free.insert(cell);
                }
            }
        }
    }

    /// All locks in the order in which they are acquired.
    pub(super) fn all(&self) -> Vec<(LockName, &Cell)> {
        let mut all = Vec::new();
        for level in LockLevel::ALL {
            let cells = self.level(level);
            if !cells.set.is_empty() {
                all.push((LockName::set(level), &cells.set));
            }
            all.extend(cells.members.iter().map(|(member, cell)| {
                (LockName { level, member: LockMember::One(member.clone()) }, cell)
            }));
        }
        if !self.config.is_empty() {
            all.push((order::config_lock(), &self.config));
        }
        all
    }
}
