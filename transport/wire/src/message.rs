//! The trait that makes a type a message.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Access;

/// A message with a name on the wire, an access class and one type of reply.
///
/// The reply is what the receiver says when it has *handled* the message; a refusal that is part of
/// the conversation belongs into it (`type Reply = Result<JobId, Fault>`). That the message did not
/// arrive, or that nobody knows what became of it, is an [`crate::AskError`] instead.
///
/// # Examples
///
/// ```
/// use gantry_wire::{Access, Message};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greet {
///     name: String,
/// }
///
/// impl Message for Greet {
///     const WIRE_NAME: &'static str = "greet";
///     const ACCESS: Access = Access::Peer;
///     type Reply = String;
/// }
/// ```
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The name on the wire. Never changes once released; a changed meaning is a new name.
    const WIRE_NAME: &'static str;
    /// Who may send it.
    const ACCESS: Access;
    /// What the receiver answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// Bytes this value is charged in a mailbox. The default counts the value itself; a message
    /// that owns large buffers adds them.
    fn cost_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
