//! What comes from other nodes: checked, decoded, delivered or passed on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_link::{Answer, Inbound, Peer};
use gantry_wire::{AskError, Envelope, HOPS_MAX, NodeId, NotDelivered, Role};

use super::{Live, Place, System, SystemEvent};
use crate::delivery::{Delivery, Sender, Terms, instant_after};
use crate::mailbox::Refusal;
use crate::protocol::{Asker, Undelivered};

/// The receiving side that a link is given.
struct Dispatcher {
    system: System,
}

/// What to do with one envelope.
enum Way {
    Deliver(Arc<dyn Live>, Terms),
    PassOn(NodeId),
}

impl System {
    /// The receiving side of this system, for a link.
    #[must_use]
    pub fn inbound(&self) -> Arc<dyn Inbound> {
        Arc::new(Dispatcher { system: self.clone() })
    }
}

/// Whose rights a message from `peer` carries. A node may name the peer that it passes a message on
/// for, and so lend it less than its own rights, never more.
fn effective_role(peer: Role, origin: Option<Role>) -> Role {
    match (peer, origin) {
        (Role::Candidate, Some(origin)) => origin,
        (Role::Node, Some(Role::Candidate)) | (Role::Node, None) => Role::Node,
        (Role::Node, Some(origin)) => origin,
        (Role::Candidate | Role::Admin | Role::Reader | Role::Joiner | Role::Lapsed, _) => peer,
    }
}

impl Dispatcher {
    fn way(&self, from: &Peer, mut envelope: Envelope) -> Result<(Way, Envelope), NotDelivered> {
        let role = effective_role(from.role, envelope.origin);
        match self.system.place(&envelope.to, Some(from))? {
            Place::Live(live) => {
                let terms = self.admit(live.as_ref(), from, role, &envelope)?;
                Ok((Way::Deliver(live, terms), envelope))
            }
            Place::Node(node) => {
                if envelope.hops >= HOPS_MAX {
                    return Err(NotDelivered::Unreachable {
                        node: node.to_string(),
                        reason: format!("{} was passed on {HOPS_MAX} times", envelope.to),
                    });
                }
                // It may wait in a queue, where it must not hold the whole buffer that it came in.
                envelope.body = Bytes::copy_from_slice(&envelope.body);
                envelope.origin = Some(role);
                envelope.hops += 1;
                Ok((Way::PassOn(node), envelope))
            }
        }
    }

    /// The one place where the right to send a message is checked.
    fn admit(
        &self,
        live: &dyn Live,
        from: &Peer,
        role: Role,
        envelope: &Envelope,
    ) -> Result<Terms, NotDelivered> {
        let access = live.access(&envelope.message).ok_or_else(|| NotDelivered::NotUnderstood {
            path: envelope.to.to_string(),
            message: envelope.message.to_string(),
            reason: "not in its protocol".into(),
        })?;
        if !role.may(access) {
            return Err(NotDelivered::Forbidden {
                role: role.to_string(),
                message: envelope.message.to_string(),
            });
        }
        if let Some(why) = live.facts().other_incarnation(envelope.incarnation) {
            return Err(why.outcome(&envelope.to));
        }
        let left = Duration::from_millis(u64::from(envelope.deadline_ms));
        Ok(Terms::remote(Delivery {
            deadline: instant_after(self.system.platform().clock().now(), left),
            trace: envelope.trace,
            fence: envelope.fence,
            request: envelope.request,
            from: Sender::Peer(from.clone()),
            passed_on: envelope.origin.is_some() || envelope.hops > 0,
            role,
        }))
    }

    /// Delivers through `send`; an actor that was passivated just now is activated again, once.
    fn deliver<T>(
        &self,
        live: &Arc<dyn Live>,
        terms: Terms,
        envelope: &Envelope,
        mut send: impl FnMut(&dyn Live, Terms) -> Result<T, Undelivered>,
    ) -> Result<T, NotDelivered> {
        let again = terms.again();
        let first = match send(live.as_ref(), terms) {
            Ok(sent) => return Ok(sent),
            Err(Undelivered::Because(why)) => return Err(why),
            Err(Undelivered::Refused(why)) => why,
        };
        if !matches!(first, Refusal::Stopped(_)) {
            return Err(first.outcome(&envelope.to));
        }
        let live = self.system.find_or_activate(&envelope.to)?;
        send(live.as_ref(), again).map_err(|undelivered| match undelivered {
            Undelivered::Because(why) => why,
            Undelivered::Refused(why) => why.outcome(&envelope.to),
        })
    }

    fn rejected(&self, from: &Peer, to: &str, message: &str, why: &NotDelivered) {
        let peer = from.node;
        match why {
            NotDelivered::Forbidden { .. } | NotDelivered::NotUnderstood { .. } => {
                tracing::warn!(%peer, role = %from.role, to, message, %why, "refused a message");
            }
            _ => tracing::debug!(%peer, to, message, %why, "did not deliver a message"),
        }
    }

    fn try_tell(&self, from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        let (way, envelope) = self.way(from, envelope)?;
        match way {
            Way::PassOn(node) => self.system.linked()?.tell(node, envelope),
            Way::Deliver(live, terms) => self.deliver(&live, terms, &envelope, |live, terms| {
                live.tell(&envelope.message, &envelope.body, terms)
            }),
        }
    }

    fn try_ask(
        &self,
        from: &Peer,
        envelope: Envelope,
        asker: &mut Asker,
    ) -> Result<(), NotDelivered> {
        let (way, envelope) = self.way(from, envelope)?;
        match way {
            Way::PassOn(node) => {
                let path = envelope.to.clone();
                let passed_on = self.system.linked()?.ask(node, envelope);
                if let Some(answer) = asker.answer.take() {
                    let (system, from) = (self.system.clone(), Some(from.clone()));
                    let left = async move { system.has_left(node, path, from).await };
                    self.pass_on(passed_on, left, answer);
                }
                Ok(())
            }
            Way::Deliver(live, terms) => self.deliver(&live, terms, &envelope, |live, terms| {
                live.ask(&envelope.message, &envelope.body, terms, asker)
            }),
        }
    }

    /// Brings back what another node answers, or that the receiver has left it. It has started as
    /// far as this one can know.
    fn pass_on(
        &self,
        passed_on: BoxFuture<'static, Result<Bytes, AskError>>,
        left: impl Future<Output = ()> + Send + 'static,
        answer: Answer,
    ) {
        let gate = self.system.platform().gate();
        let _begun = answer.begin();
        self.system.spawn_task(async move {
            let result = tokio::select! {
                biased;
                result = passed_on => result,
                () = left => Err(AskError::Unknown("the receiver lives elsewhere now".into())),
            };
            match gate.is_some_and(|gate| gate.is_crashed()) {
                true => answer.silence(),
                false => answer.send(result),
            }
        });
    }

    /// Runs `f` and tells whoever listens when it refuses.
    fn heard<T>(
        &self,
        from: &Peer,
        envelope: Envelope,
        f: impl FnOnce(Envelope) -> Result<T, NotDelivered>,
    ) -> Result<T, NotDelivered> {
        let (path, message) = (envelope.to.clone(), envelope.message.clone());
        f(envelope).inspect_err(|why| {
            self.rejected(from, path.as_str(), &message, why);
            let (message, reason) = (message.to_string(), why.to_string());
            self.system.reject(SystemEvent::Rejected { from: from.node, path, message, reason });
        })
    }
}

impl Inbound for Dispatcher {
    fn tell(&self, from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        self.heard(from, envelope, |envelope| self.try_tell(from, envelope))
    }

    fn ask(&self, from: &Peer, envelope: Envelope, answer: Answer) {
        let gate = self.system.platform().gate();
        let mut asker = Asker { answer: Some(answer), gate };
        let heard = self.heard(from, envelope, |envelope| self.try_ask(from, envelope, &mut asker));
        if let (Err(why), Some(answer)) = (heard, asker.answer) {
            answer.refuse(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_speak_for_others_and_never_beyond_their_own_rights() {
        use Role::{Admin, Candidate, Joiner, Node, Reader};
        let cases = [
            (Candidate, None, Candidate),
            (Candidate, Some(Reader), Reader),
            (Node, None, Node),
            (Node, Some(Joiner), Joiner),
            (Node, Some(Candidate), Node),
            (Reader, Some(Admin), Reader),
            (Joiner, Some(Candidate), Joiner),
        ];
        for (peer, origin, expected) in cases {
            assert_eq!(effective_role(peer, origin), expected, "{peer} for {origin:?}");
        }
    }
}
