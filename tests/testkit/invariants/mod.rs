//! What must hold of every cluster, whatever happens to it. One file each.
//!
//! Pure functions from what is seen to what is wrong, in words; no word is no violation. Some hold
//! at every revision, the others once no job is left to do.

pub mod disks_in_place;
pub mod exclusive_owners;
pub mod guest_once;
pub mod guests_as_wanted;
pub mod jobs_end_once;
pub mod nothing_left;
pub mod released_locks;
