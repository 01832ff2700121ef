//! Refs: [`LocalRef`] to an actor in this process, [`ActorRef`] to one wherever it lives.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_wire::{ActorPath, AskError, Envelope, ErrorChain, Message, NodeId, NotDelivered};
use tokio::time::Instant;

use crate::actor::{Actor, Handler};
use crate::cell::{ClosureLetter, MessageLetter};
use crate::context::Context;
use crate::delivery::{AskOptions, TELL_DEADLINE, Terms, instant_after};
use crate::mailbox::{Facts, Mailbox, Refusal};
use crate::names::{NameId, intern};
use crate::reply::{Ask, Reply, Slot};
use crate::system::{Place, System};

/// Accepts messages of one type for an actor whose type is not known here.
pub(crate) trait Port<M: Message>: Send + Sync {
    /// Queues the letter, or gives it back.
    fn post(&self, letter: Box<MessageLetter<M>>) -> Result<(), Returned<M>>;

    /// Whose port it is.
    fn facts(&self) -> &Facts;
}

/// A letter that was not accepted, and why.
pub(crate) type Returned<M> = (Refusal, Box<MessageLetter<M>>);

impl<A: Handler<M>, M: Message> Port<M> for Mailbox<A> {
    fn post(&self, letter: Box<MessageLetter<M>>) -> Result<(), Returned<M>> {
        self.push(letter)
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// A ref to an actor of known type in this process. Stays good across restarts; when the actor has
/// stopped for good it says so.
pub struct LocalRef<A: Actor> {
    mailbox: Arc<Mailbox<A>>,
}

impl<A: Actor> Clone for LocalRef<A> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone() }
    }
}

impl<A: Actor> std::fmt::Debug for LocalRef<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LocalRef").field(&self.path().as_str()).finish()
    }
}

impl<A: Actor> LocalRef<A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<A>>) -> Self {
        Self { mailbox }
    }

    /// Where the actor lives.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.mailbox.facts.path
    }

    /// Queues a closure that runs as one turn of the actor.
    ///
    /// # Errors
    /// When the mailbox is full or the actor has stopped; the closure is dropped unrun.
    pub fn act<F>(&self, closure: F) -> Result<(), NotDelivered>
    where
        F: FnOnce(&mut A, &mut Context<A>) + Send + 'static,
    {
        let letter = Box::new(ClosureLetter(closure));
        self.mailbox.push(letter).map_err(|(why, _)| why.outcome(self.path()))
    }

    /// A ref for one type of message, bound to this actor: it does not follow the path elsewhere.
    #[must_use]
    pub fn to<M: Message>(&self) -> ActorRef<M>
    where
        A: Handler<M>,
    {
        ActorRef { name: intern(M::WIRE_NAME), target: Target::Pinned(self.mailbox.clone()) }
    }
}

/// A ref for one type of message to an actor here or on another node.
pub struct ActorRef<M: Message> {
    name: NameId,
    target: Target<M>,
}

enum Target<M: Message> {
    /// One actor in this process.
    Pinned(Arc<dyn Port<M>>),
    /// Whoever is at the path, looked up at each send.
    Path(Arc<PathTarget<M>>),
    /// The path on a given node.
    Node(Arc<NodeTarget>),
}

struct PathTarget<M: Message> {
    system: System,
    path: ActorPath,
    /// The local actor met last; asked first, as long as it lives.
    known: Mutex<Option<Arc<dyn Port<M>>>>,
}

struct NodeTarget {
    system: System,
    path: ActorPath,
    node: NodeId,
}

impl<M: Message> Clone for Target<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Pinned(port) => Self::Pinned(port.clone()),
            Self::Path(target) => Self::Path(target.clone()),
            Self::Node(target) => Self::Node(target.clone()),
        }
    }
}

impl<M: Message> Clone for ActorRef<M> {
    fn clone(&self) -> Self {
        Self { name: self.name, target: self.target.clone() }
    }
}

impl<M: Message> std::fmt::Debug for ActorRef<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActorRef")
            .field("message", &M::WIRE_NAME)
            .field("path", &self.path().as_str())
            .finish()
    }
}

/// Where one send goes.
enum Route<M: Message> {
    Local(Arc<dyn Port<M>>),
    Node(NodeId),
}

impl<M: Message> ActorRef<M> {
    pub(crate) fn at_path(system: System, path: ActorPath) -> Self {
        let target = PathTarget { system, path, known: Mutex::new(None) };
        Self { name: intern(M::WIRE_NAME), target: Target::Path(Arc::new(target)) }
    }

    pub(crate) fn at_node(system: System, node: NodeId, path: ActorPath) -> Self {
        let target = NodeTarget { system, path, node };
        Self { name: intern(M::WIRE_NAME), target: Target::Node(Arc::new(target)) }
    }

    /// The path of the receiver.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        match &self.target {
            Target::Pinned(port) => &port.facts().path,
            Target::Path(target) => &target.path,
            Target::Node(target) => &target.path,
        }
    }

    /// Sends without waiting. `Ok` says that a mailbox here, or the queue to the other node, has
    /// taken it.
    ///
    /// # Errors
    /// When it was not taken: nothing has happened then.
    pub fn tell(&self, message: M) -> Result<(), NotDelivered> {
        if let Target::Pinned(port) = &self.target {
            let letter = self.letter(message, Reply::sink(), Terms::PLAIN);
            return port.post(letter).map_err(|(why, _)| why.outcome(&port.facts().path));
        }
        self.tell_with(message, &AskOptions::within(TELL_DEADLINE))
    }

    /// [`ActorRef::tell`] with something beside the message; `options.timeout` is how long it is
    /// worth handling.
    ///
    /// # Errors
    /// As [`ActorRef::tell`].
    pub fn tell_with(&self, message: M, options: &AskOptions) -> Result<(), NotDelivered> {
        if let Some(target) = self.elsewhere() {
            let envelope = envelope(&target.path, &message, options)?;
            return target.system.linked()?.tell(target.node, envelope);
        }
        let deadline = self.deadline(options.timeout);
        let letter = self.letter(message, Reply::sink(), Terms::local(options, deadline));
        match self.send(letter, options)? {
            Sent::Here => Ok(()),
            Sent::Away { node, system, message } => {
                let envelope = envelope(self.path(), &message, options)?;
                system.linked()?.tell(node, envelope)
            }
        }
    }

    /// Sends, and waits for the answer at most `timeout`. It is sent before this returns, so order
    /// is that of the calls.
    pub fn ask(&self, message: M, timeout: Duration) -> Ask<M::Reply> {
        self.ask_with(message, AskOptions::within(timeout))
    }

    /// [`ActorRef::ask`] with something beside the message.
    pub fn ask_with(&self, message: M, options: AskOptions) -> Ask<M::Reply> {
        if let Some(NodeTarget { system, path, node }) = self.elsewhere() {
            return ask_away(system, *node, path, &message, &options).unwrap_or_else(Ask::failed);
        }
        let deadline = self.deadline(options.timeout);
        let slot = Slot::new();
        let terms = Terms::local(&options, deadline);
        let letter = self.letter(message, Reply::to(slot.clone()), terms);
        match self.send(letter, &options) {
            Ok(Sent::Here) => Ask::local(slot, deadline),
            Ok(Sent::Away { node, system, message }) => {
                ask_away(&system, node, self.path(), &message, &options).unwrap_or_else(Ask::failed)
            }
            Err(why) => Ask::failed(why),
        }
    }

    /// When a wait that begins now is over.
    fn deadline(&self, timeout: Duration) -> Instant {
        let pace = match &self.target {
            Target::Pinned(port) => port.facts().pace,
            Target::Path(target) => target.system.platform().pace(),
            Target::Node(target) => target.system.platform().pace(),
        };
        instant_after(pace.start_of_wait(timeout), timeout)
    }

    /// The node that a ref names, if it is another: nothing that only a mailbox needs is made then.
    fn elsewhere(&self) -> Option<&NodeTarget> {
        match &self.target {
            Target::Node(target) if target.node != target.system.node() => Some(target),
            Target::Node(_) | Target::Path(_) | Target::Pinned(_) => None,
        }
    }

    fn letter(&self, message: M, reply: Reply<M::Reply>, terms: Terms) -> Box<MessageLetter<M>> {
        Box::new(MessageLetter { message, reply, terms, name: self.name })
    }

    /// Queues the letter here, or says where it has to go.
    fn send(
        &self,
        letter: Box<MessageLetter<M>>,
        options: &AskOptions,
    ) -> Result<Sent<M>, NotDelivered> {
        match &self.target {
            Target::Pinned(port) => {
                post(port, letter, options).map_err(|(why, _)| why.outcome(self.path()))?;
                Ok(Sent::Here)
            }
            Target::Path(target) => target.send(letter, options),
            // Another node was met before: see `elsewhere`.
            Target::Node(target) => PathTarget::here(&target.system, &target.path, letter, options),
        }
    }
}

enum Sent<M> {
    Here,
    Away { node: NodeId, system: System, message: M },
}

impl<M: Message> Sent<M> {
    fn away(node: NodeId, system: &System, letter: MessageLetter<M>) -> Self {
        Self::Away { node, system: system.clone(), message: letter.message }
    }
}

impl<M: Message> PathTarget<M> {
    fn send(
        &self,
        mut letter: Box<MessageLetter<M>>,
        options: &AskOptions,
    ) -> Result<Sent<M>, NotDelivered> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(port) = known {
            match post(&port, letter, options) {
                Ok(()) => return Ok(Sent::Here),
                Err((Refusal::Stopped(_), back)) => letter = back,
                Err((why, _)) => return Err(why.outcome(&self.path)),
            }
        }
        match route(&self.system, &self.path)? {
            Route::Node(node) => Ok(Sent::away(node, &self.system, *letter)),
            Route::Local(port) => {
                let posted = post(&port, letter, options);
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(port);
                posted.map_err(|(why, _)| why.outcome(&self.path))?;
                Ok(Sent::Here)
            }
        }
    }

    /// To the actor at `path` in this process, whatever the router says.
    fn here(
        system: &System,
        path: &ActorPath,
        letter: Box<MessageLetter<M>>,
        options: &AskOptions,
    ) -> Result<Sent<M>, NotDelivered> {
        let live = system.find_or_activate(path)?;
        let port = typed(live.port(M::WIRE_NAME), path)?;
        post(&port, letter, options).map_err(|(why, _)| why.outcome(path))?;
        Ok(Sent::Here)
    }
}

fn route<M: Message>(system: &System, path: &ActorPath) -> Result<Route<M>, NotDelivered> {
    match system.place(path, None)? {
        Place::Live(live) => Ok(Route::Local(typed(live.port(M::WIRE_NAME), path)?)),
        Place::Node(node) => Ok(Route::Node(node)),
    }
}

/// The port for `M` out of the box in which the directory hands it out.
fn typed<M: Message>(
    port: Option<Box<dyn Any>>,
    path: &ActorPath,
) -> Result<Arc<dyn Port<M>>, NotDelivered> {
    let not_understood = |reason: &str| NotDelivered::NotUnderstood {
        path: path.to_string(),
        message: M::WIRE_NAME.to_owned(),
        reason: reason.to_owned(),
    };
    let port = port.ok_or_else(|| not_understood("not in its protocol"))?;
    let port = port.downcast::<Arc<dyn Port<M>>>();
    port.map(|port| *port).map_err(|_| not_understood("another type has that wire name"))
}

fn post<M: Message>(
    port: &Arc<dyn Port<M>>,
    letter: Box<MessageLetter<M>>,
    options: &AskOptions,
) -> Result<(), Returned<M>> {
    if let Some(why) = port.facts().other_incarnation(options.incarnation) {
        return Err((why, letter));
    }
    port.post(letter)
}

fn ask_away<M: Message>(
    system: &System,
    node: NodeId,
    path: &ActorPath,
    message: &M,
    options: &AskOptions,
) -> Result<Ask<M::Reply>, NotDelivered> {
    let envelope = envelope(path, message, options)?;
    let answer = system.linked()?.ask(node, envelope);
    Ok(Ask::remote(answer, |body| {
        gantry_wire::decode(body).map_err(|error| {
            let why = ErrorChain(&error).to_string();
            AskError::Unknown(format!("its answer was not understood: {why}"))
        })
    }))
}

fn envelope<M: Message>(
    path: &ActorPath,
    message: &M,
    options: &AskOptions,
) -> Result<Envelope, NotDelivered> {
    let body = gantry_wire::encode_bytes(message).map_err(|error| match error {
        gantry_wire::CodecError::TooLarge { bytes } => {
            NotDelivered::TooLarge { bytes, bytes_max: gantry_wire::FRAME_BYTES_MAX }
        }
        other => NotDelivered::NotUnderstood {
            path: path.to_string(),
            message: M::WIRE_NAME.to_owned(),
            reason: ErrorChain(&other).to_string(),
        },
    })?;
    Ok(Envelope {
        to: path.clone(),
        message: M::WIRE_NAME.into(),
        body,
        deadline_ms: deadline_ms(options.timeout),
        trace: options.trace,
        request: options.request,
        fence: options.fence,
        incarnation: options.incarnation,
        origin: None,
        hops: 0,
    })
}

/// Whole milliseconds, rounded up: the shortest wait must not become none.
fn deadline_ms(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}
