//! The event feed to the leader: numbers what happens on this node and sees that the leader's
//! picture becomes true, whatever is lost on the way.
//!
//! [`FeedState`] is pure: it is told what happened and says what to send and when to look again.
//! The node actor drives it. Deliberately absent: who the leader is (the path `/cluster` is routed
//! to it) and what it does with the picture.

mod state;
#[cfg(test)]
mod tests;

pub use state::{
    BACKOFF_FIRST, BACKOFF_MAX, BATCH_EVENTS_MAX, FeedEffect, FeedEvent, FeedState, MEMBER_RETRY,
    QUEUE_EVENTS_MAX,
};
