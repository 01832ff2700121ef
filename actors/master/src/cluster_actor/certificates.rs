//! Certificates, authorities and the cluster key, for those who may have them.
//!
//! Who asks is known from the connection alone, so a message that was passed on is refused.

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::messages::{
    CertificateIssue, CertificateIssued, CertificateKind, CertificateRenew, ClusterKeyFetch,
    ClusterKeyHanded, OperatorCertificate, QueryTrust, TrustView,
};
use gantry_model::trust::TrustChange;
use gantry_runtime::{Context, Handler, Reply, Sender};
use gantry_wire::Role;

use super::ClusterActor;
use crate::context::CertificateSigner;

/// Who asks, by the certificate of its connection.
struct Asker {
    node: NodeUuid,
    role: Role,
}

impl ClusterActor {
    fn asker(&self, ctx: &Context<Self>) -> Result<Asker, Fault> {
        let delivery = ctx.delivery();
        let asker = match &delivery.from {
            _ if delivery.passed_on => {
                let text = "this is answered only to who asks it directly";
                return Err(Fault::new(FaultCode::Forbidden, text));
            }
            Sender::Local => Asker { node: self.context.config.node, role: Role::Candidate },
            Sender::Peer(peer) => Asker { node: peer.node.into(), role: peer.role },
        };
        if self.is_member(asker.node) {
            return Ok(asker);
        }
        let text = format!("{} is no node of this cluster", asker.node);
        Err(Fault::new(FaultCode::Forbidden, text))
    }

    fn trust_view(&self) -> Result<TrustView, Fault> {
        let trust = &self.context.state().trust;
        match &trust.signing {
            Some(signing) => {
                Ok(TrustView { bundle: trust.bundle(), signing: signing.fingerprint.clone() })
            }
            None => Err(Fault::new(FaultCode::WrongState, "the cluster has no authority")),
        }
    }

    /// The role that its certificate is to have.
    fn role_for(&self, asker: &Asker, kind: CertificateKind) -> Result<Role, Fault> {
        let state = self.context.state();
        let holds_log = state.nodes.get(&asker.node).is_some_and(|node| node.master_candidate);
        match kind {
            CertificateKind::Own if holds_log => Ok(Role::Candidate),
            CertificateKind::Own => Ok(Role::Node),
            CertificateKind::Admin | CertificateKind::Reader if asker.role != Role::Candidate => {
                let text = "only a full candidate may ask for a certificate of an operator";
                Err(Fault::new(FaultCode::Forbidden, text))
            }
            CertificateKind::Admin => Ok(Role::Admin),
            CertificateKind::Reader => Ok(Role::Reader),
        }
    }
}

impl Handler<CertificateRenew> for ClusterActor {
    fn handle(
        &mut self,
        message: CertificateRenew,
        reply: Reply<Result<CertificateIssued, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let decided = self.asker(ctx).and_then(|asker| {
            let role = self.role_for(&asker, message.kind)?;
            Ok((asker.node, role, self.trust_view()?))
        });
        let (node, role, trust) = match decided {
            Ok(decided) => decided,
            Err(fault) => return reply.send(Err(fault)),
        };
        let context = self.context.clone();
        let signing = async move {
            let sign = move |keys: &dyn CertificateSigner, state: &ClusterState| {
                keys.sign(state, role, node.0, &message.csr)
            };
            let chain = context.keys("sign a certificate", sign).await?;
            tracing::info!(%node, %role, "a certificate was issued");
            Ok(CertificateIssued { chain, trust })
        };
        ctx.spawn_then(signing, move |_, issued, _| reply.send(issued));
    }
}

/// Longest name of a holder: it is for a line of the log.
const HOLDER_CHARS_MAX: usize = 200;

impl Handler<CertificateIssue> for ClusterActor {
    fn handle(
        &mut self,
        message: CertificateIssue,
        reply: Reply<Result<OperatorCertificate, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let CertificateIssue { kind, holder, csr } = message;
        let asker = ctx.delivery().role();
        let role = match (kind, asker) {
            // A plain node must not be able to make itself an operator.
            (_, asker) if !matches!(asker, Role::Admin | Role::Candidate) => {
                let text = format!("role {asker} may not have certificates issued");
                return reply.send(Err(Fault::new(FaultCode::Forbidden, text)));
            }
            (CertificateKind::Admin, _) => Role::Admin,
            (CertificateKind::Reader, _) => Role::Reader,
            (CertificateKind::Own, _) => {
                let text = "a certificate is issued to an admin or a reader";
                return reply.send(Err(Fault::new(FaultCode::WrongInput, text)));
            }
        };
        if holder.is_empty() || holder.chars().count() > HOLDER_CHARS_MAX {
            let text = format!("the holder's name must have 1 to {HOLDER_CHARS_MAX} characters");
            return reply.send(Err(Fault::new(FaultCode::WrongInput, text)));
        }
        let endpoint = {
            let state = self.context.state();
            state.nodes.get(&self.context.config.node).map(|node| node.address.clone())
        };
        let (trust, endpoint) = match (self.trust_view(), endpoint) {
            (Ok(trust), Some(endpoint)) => (trust, endpoint),
            (Err(fault), _) => return reply.send(Err(fault)),
            (Ok(_), None) => {
                let text = "there is no cluster";
                return reply.send(Err(Fault::new(FaultCode::WrongState, text)));
            }
        };
        let id = ctx.system().platform().random_uuid();
        let context = self.context.clone();
        let signing = async move {
            let sign = move |keys: &dyn CertificateSigner, state: &ClusterState| {
                keys.sign(state, role, id, &csr)
            };
            let chain = context.keys("sign a certificate", sign).await?;
            // The only trace of it: a certificate is not in the state.
            tracing::info!(%role, %id, holder, by = %asker, "an operator's certificate was issued");
            Ok(OperatorCertificate { certificate: CertificateIssued { chain, trust }, endpoint })
        };
        ctx.spawn_then(signing, move |_, issued, _| reply.send(issued));
    }
}

impl Handler<QueryTrust> for ClusterActor {
    fn handle(
        &mut self,
        _: QueryTrust,
        reply: Reply<Result<TrustView, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let asker = match self.asker(ctx) {
            Ok(asker) => asker,
            Err(fault) => return reply.send(Err(fault)),
        };
        let view = self.trust_view();
        // A connection that is accepted in full was made with a certificate of an authority that
        // is: what it was waited for has happened.
        let state = self.context.state();
        let pending = state.trust.retiring.as_ref().map(|retiring| &retiring.pending);
        let was_pending = pending.is_some_and(|pending| pending.contains(&asker.node));
        if asker.role == Role::Lapsed || !was_pending {
            return reply.send(view);
        }
        let context = self.context.clone();
        let renewed = vec![TrustChange::NodeRenewed { node: asker.node }];
        ctx.spawn_then(async move { context.change_trust(renewed).await }, move |_, noted, _| {
            match noted {
                Ok(()) => tracing::info!(node = %asker.node, "a node has renewed its certificate"),
                Err(fault) => tracing::warn!(node = %asker.node, fault = fault.one_line(),
                    "that a node has renewed its certificate could not be noted"),
            }
            reply.send(view);
        });
    }
}

impl Handler<ClusterKeyFetch> for ClusterActor {
    fn handle(
        &mut self,
        _: ClusterKeyFetch,
        reply: Reply<Result<ClusterKeyHanded, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        // The role in the certificate has been checked; that the node is one of those now, here.
        let state = self.context.state();
        let allowed = self.asker(ctx).and_then(|asker| {
            let holds_log = state.nodes.get(&asker.node).is_some_and(|n| n.master_candidate);
            if holds_log && asker.role == Role::Candidate {
                return Ok(asker.node);
            }
            Err(Fault::new(FaultCode::Forbidden, "the cluster key is for full candidates only"))
        });
        let node = match allowed {
            Ok(node) => node,
            Err(fault) => return reply.send(Err(fault)),
        };
        let context = self.context.clone();
        let handing =
            async move { context.keys("hand over the cluster key", |k, s| k.cluster_key(s)).await };
        ctx.spawn_then(handing, move |_, handed, _| {
            tracing::info!(%node, done = handed.is_ok(), "the cluster key was asked for");
            reply.send(handed);
        });
    }
}
