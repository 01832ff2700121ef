//! What an actor accepts by wire name.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_link::Answer;
use gantry_wire::{Access, ErrorChain, Message, NotDelivered};

use crate::actor::{Actor, Handler};
use crate::cell::MessageLetter;
use crate::delivery::Terms;
use crate::mailbox::{Mailbox, Refusal};
use crate::names::{NameId, intern};
use crate::platform::NodeGate;
use crate::reference::Port;
use crate::reply::{RemoteWay, Reply};

/// The messages of one kind of actor.
pub struct Protocol<A: Actor> {
    entries: BTreeMap<&'static str, Entry<A>>,
}

/// Who asks from another node; keeps the way back until a mailbox has taken the message.
pub(crate) struct Asker {
    pub(crate) answer: Option<Answer>,
    pub(crate) gate: Option<Arc<NodeGate>>,
}

/// Why bytes did not become a letter in a mailbox.
pub(crate) enum Undelivered {
    Refused(Refusal),
    Because(NotDelivered),
}

/// Decodes a message and queues it.
type Tell<A> = fn(&Mailbox<A>, &[u8], Terms, NameId) -> Result<(), Undelivered>;

/// The same with a way back.
type AskOf<A> = fn(&Mailbox<A>, &[u8], Terms, NameId, &mut Asker) -> Result<(), Undelivered>;

struct Entry<A: Actor> {
    access: Access,
    name: NameId,
    tell: Tell<A>,
    ask: AskOf<A>,
    port: fn(Arc<Mailbox<A>>) -> Box<dyn Any>,
}

impl<A: Actor> Default for Protocol<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Actor> Protocol<A> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    /// Accepts `M` too.
    ///
    /// # Panics
    /// When another message of this protocol has the same wire name: a mistake in the program.
    #[must_use]
    pub fn on<M: Message>(mut self) -> Self
    where
        A: Handler<M>,
    {
        let entry = Entry {
            access: M::ACCESS,
            name: intern(M::WIRE_NAME),
            tell: tell_encoded::<A, M>,
            ask: ask_encoded::<A, M>,
            port: port_of::<A, M>,
        };
        let former = self.entries.insert(M::WIRE_NAME, entry);
        assert!(former.is_none(), "{} accepts {} twice", A::KIND, M::WIRE_NAME);
        self
    }

    /// The wire names, in order.
    pub fn messages(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    pub(crate) fn access(&self, message: &str) -> Option<Access> {
        self.entries.get(message).map(|entry| entry.access)
    }

    /// Delivers an encoded message that nobody waits for.
    pub(crate) fn tell(
        mailbox: &Mailbox<A>,
        message: &str,
        body: &[u8],
        terms: Terms,
    ) -> Result<(), Undelivered> {
        let entry = mailbox.entry(message)?;
        (entry.tell)(mailbox, body, terms, entry.name)
    }

    /// Delivers an encoded message that `asker` waits for.
    pub(crate) fn ask(
        mailbox: &Mailbox<A>,
        message: &str,
        body: &[u8],
        terms: Terms,
        asker: &mut Asker,
    ) -> Result<(), Undelivered> {
        let entry = mailbox.entry(message)?;
        (entry.ask)(mailbox, body, terms, entry.name, asker)
    }

    /// An `Arc<dyn Port<M>>` for the `M` of that name, in a box that forgets which.
    pub(crate) fn port(mailbox: Arc<Mailbox<A>>, message: &str) -> Option<Box<dyn Any>> {
        let port = mailbox.protocol.entries.get(message)?.port;
        Some(port(mailbox))
    }
}

impl<A: Actor> Mailbox<A> {
    fn entry(&self, message: &str) -> Result<&Entry<A>, Undelivered> {
        let unknown = || self.not_understood(message, "not in its protocol".into());
        self.protocol.entries.get(message).ok_or_else(unknown)
    }

    fn not_understood(&self, message: &str, reason: String) -> Undelivered {
        Undelivered::Because(NotDelivered::NotUnderstood {
            path: self.facts.path.to_string(),
            message: message.to_owned(),
            reason,
        })
    }

    fn decoded<M: Message>(&self, body: &[u8]) -> Result<M, Undelivered> {
        gantry_wire::decode(body)
            .map_err(|error| self.not_understood(M::WIRE_NAME, ErrorChain(&error).to_string()))
    }
}

fn port_of<A: Handler<M>, M: Message>(mailbox: Arc<Mailbox<A>>) -> Box<dyn Any> {
    let port: Arc<dyn Port<M>> = mailbox;
    Box::new(port)
}

fn tell_encoded<A: Handler<M>, M: Message>(
    mailbox: &Mailbox<A>,
    body: &[u8],
    terms: Terms,
    name: NameId,
) -> Result<(), Undelivered> {
    let message: M = mailbox.decoded(body)?;
    let letter = Box::new(MessageLetter { message, reply: Reply::sink(), terms, name });
    mailbox.push(letter).map_err(|(why, _)| Undelivered::Refused(why))
}

fn ask_encoded<A: Handler<M>, M: Message>(
    mailbox: &Mailbox<A>,
    body: &[u8],
    terms: Terms,
    name: NameId,
    asker: &mut Asker,
) -> Result<(), Undelivered> {
    let message: M = mailbox.decoded(body)?;
    let Some(answer) = asker.answer.take() else { return Ok(()) };
    let gate = asker.gate.clone();
    let reply = Reply::remote(RemoteWay { answer, encode: gantry_wire::encode_bytes, gate });
    let letter = Box::new(MessageLetter { message, reply, terms, name });
    mailbox.push(letter).map_err(|(why, letter)| {
        asker.answer = letter.reply.into_answer();
        Undelivered::Refused(why)
    })
}
