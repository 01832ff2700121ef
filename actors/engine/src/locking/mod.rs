//! The lock table: who holds which lock, who waits for what, who is next (rows L1–L76).
//!
//! [`LockTable`] owns ownership of locks and the queue for them. The lock actor on the leader
//! drives it, one event at a time; tests drive it the same way. Deliberately absent: time (nobody
//! is timed out; who loses patience changes priority or withdraws), the journal (a release is said
//! here only after it is committed), life and death of jobs (of a dead one somebody says
//! [`LockEvent::Release`]), and memory of jobs that neither hold nor want anything: that a late
//! message of an ended attempt is refused is the lock actor's duty, which knows the jobs.
//!
//! # In the way
//!
//! Two jobs are in each other's way at a lock, or at a set and a member of its level, unless both
//! want or hold it shared (L12). A request is granted as a whole when nobody who *holds* is in its
//! way, and nobody who *waits* and is more urgent is (L10, L73). What a job asks for and has
//! already, by the lock itself or by its set in a sufficient mode, is *covered* and cannot wait.
//!
//! Urgency is priority, then age, and the age of a job is its id (L18). A waiting job that holds
//! what others wait for inherits the urgency of the most urgent of them, directly or along a chain.
//!
//! # Why nobody waits for ever (L24)
//!
//! Say X → Y when X waits and Y is in its way: a *holder edge* if Y holds, a *queue edge* if Y
//! waits and is more urgent. If no circle of jobs can close, somebody can always go on.
//!
//! 1. *Queue edges close no circle that holder edges do not close.* By inheritance a holder edge X
//!    → Y to a waiting Y implies that Y is at least as urgent as X; a queue edge implies that Y is
//!    strictly more urgent. Around a circle urgency never falls, so no edge of it is a queue edge.
//! 2. *Holder edges.* What a waiting job wants is not covered and so not below the highest lock
//!    it holds (L13). Follow a circle X₁ → X₂ → …, Xᵢ wanting aᵢ and hindered by bᵢ which Xᵢ₊₁
//!    holds: aᵢ₊₁ is not below bᵢ. If bᵢ is aᵢ, or a member where aᵢ is the set, the wants do not
//!    fall. If bᵢ is the set of aᵢ, the next one wants that set itself (an upgrade) or something
//!    behind all members: an exclusive member is refused to it (L14), a shared one is covered.
//!    So either no want in the circle falls, then all are equal and two jobs upgrade one lock; or
//!    one falls, then one job upgrades a set held shared and another wants an exclusive member
//!    while it holds a member of that level. (A longer circle would pass a job that wants a member
//!    of the level exclusively, and such a job is hindered by the upgrader directly.)
//! 3. Both pairs are found when the second of the two asks, and that one is refused at once,
//!    retryable: [`LockRefusal::UpgradeContended`]. Nothing else can bring such a pair about,
//!    because a job that waits cannot take anything.
//!
//! One request per job at a time (L17) is what makes "wants" one set of locks. That releases never
//! wait (L16) ends every edge into a job that ends.
//!
//! # Why nobody is passed by for ever (L73)
//!
//! A job is passed only by more urgent jobs, of which there are finitely many at its own priority
//! (older ones), and by those that already hold what a more urgent job waits for. Against an
//! endless stream of more urgent priority helps only [`LockEvent::ChangePriority`].
//!
//! # What it costs
//!
//! An acquisition costs its own locks, and when it has to wait also the jobs in its way and what
//! its owner holds. Each waiting job watches one job that is in its way, at one lock; only when
//! that one gives up something there, or falls behind in the queue, is the waiting job looked at
//! again. Of a long queue for one lock each release wakes one.

mod cells;
mod event;
mod inherit;
mod order;
mod queue;
mod table;

#[cfg(test)]
mod tests;

pub use event::{LockEffect, LockEvent, LockRefusal};
pub use order::{CHANGES_PER_REQUEST_MAX, config_lock};
pub use table::LockTable;
