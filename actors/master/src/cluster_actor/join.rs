//! Join tokens, and nodes that present them.

use gantry_engine::state::{ClusterState, Command};
use gantry_link::identity::{Fingerprint, JoinToken};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::messages::{Join, Joined, NewJob, TokenIssue, TokenIssued};
use gantry_model::objects::JoinTokenRecord;
use gantry_model::opcodes::{NodeAdd, OpCommon, OpRequest, PRIORITIES_SUBMITTED};
use gantry_model::units::{Millis, Timestamp};
use gantry_runtime::{Context, Handler, Reply};
use gantry_wire::{RequestId, Role};
use sha2::{Digest, Sha256};

use super::ClusterActor;
use super::level::check_joiner;
use super::submit::no_priority;
use crate::context::{CertificateSigner, MasterContext};
use crate::lu::check_terms;

/// Longest life of a join token: a week. It is as good as a key to the cluster; one that lies
/// around longer is an accident.
const TOKEN_VALID_MAX: Millis = Millis(7 * 24 * 3600 * 1000);

impl Handler<TokenIssue> for ClusterActor {
    fn handle(
        &mut self,
        message: TokenIssue,
        reply: Reply<Result<TokenIssued, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let TokenIssue { node_name, valid, terms, priority, reason } = message;
        if valid.0 == 0 || valid > TOKEN_VALID_MAX {
            let text = format!("validity must be 1 ms to {} s", TOKEN_VALID_MAX.0 / 1000);
            reply.send(Err(Fault::new(FaultCode::WrongInput, text)));
            return;
        }
        if !PRIORITIES_SUBMITTED.contains(&priority) {
            reply.send(Err(no_priority(priority)));
            return;
        }
        let state = self.context.state();
        let Some(master) = state.nodes.get(&self.context.config.node) else {
            reply.send(Err(Fault::new(FaultCode::WrongState, "there is no cluster")));
            return;
        };
        if let Err(fault) = check_terms(&state, &terms) {
            reply.send(Err(fault));
            return;
        }
        let platform = ctx.system().platform();
        let mut secret = [0; 32];
        platform.fill_random(&mut secret);
        let expires = Timestamp(self.context.now().0 + valid.0 * 1000);
        let mut record = JoinTokenRecord {
            secret_hash: hex(&Sha256::digest(secret)),
            node_name,
            node: NodeUuid(platform.random_uuid()),
            expires,
            redeemed_by: None,
            terms,
            priority,
            reason,
        };
        if state.level < record.level() {
            // Who asked is no reason to refuse a token that older programs could make.
            record.reason.clear();
        }
        let (context, address) = (self.context.clone(), master.address.clone());
        ctx.spawn_then(issue(context, record, secret, address), move |_, issued, _| {
            reply.send(issued);
        });
    }
}

/// Commits the record, then makes the text that contains the secret.
async fn issue(
    context: MasterContext,
    record: JoinTokenRecord,
    secret: [u8; 32],
    address: String,
) -> Result<TokenIssued, Fault> {
    let addrs = tokio::net::lookup_host(&address).await.map_err(|error| {
        let text = format!("look up the master's address {address}");
        Fault::from_error(FaultCode::ResolverError, text, &error)
    })?;
    let state = context.state();
    let Some(signing) = &state.trust.signing else {
        return Err(Fault::new(FaultCode::WrongState, "the cluster has no authority"));
    };
    let fingerprint: Fingerprint = signing.fingerprint.parse().map_err(|error| {
        Fault::from_error(FaultCode::InternalError, "read the authority's fingerprint", &error)
    })?;
    let token = JoinToken::new(fingerprint, secret, addrs.collect()).map_err(|error| {
        Fault::from_error(FaultCode::EnvironmentError, "make a join token", &error)
    })?;
    let expires = record.expires;
    let deltas = vec![ConfigDelta::TokenIssue(record)];
    context.commit_asked(Command::Config { reign: context.reign, deltas }).await?;
    Ok(TokenIssued { token: token.to_string(), expires })
}

impl Handler<Join> for ClusterActor {
    fn handle(
        &mut self,
        message: Join,
        reply: Reply<Result<Joined, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let Join { secret, csr, address, levels } = message;
        let secret_hash = hex(&Sha256::digest(&secret));
        let state = self.context.state();
        let Some(token) = state.tokens.get(&secret_hash) else {
            let text = "the join token is not known to this cluster";
            reply.send(Err(Fault::new(FaultCode::Forbidden, text)));
            return;
        };
        if let Err(fault) = check_joiner(&token.node_name, levels, state.level) {
            reply.send(Err(fault));
            return;
        }
        // The same request again is the same holder, whose answer may have been lost.
        let key_hash = hex(&Sha256::digest(&csr));
        let op = NodeAdd {
            node_name: token.node_name.clone(),
            node_uuid: token.node,
            address,
            secret_hash,
            key_hash,
            terms: token.terms.clone(),
        };
        if let Err(fault) = crate::lu::arguments(&op.clone().into()) {
            reply.send(Err(fault));
            return;
        }
        let (priority, reason) = (token.priority, token.reason.clone());
        let common = OpCommon { priority, reason, ..OpCommon::default() };
        let request = RequestId(ctx.system().platform().random_uuid());
        let node = op.node_uuid;
        let job = NewJob { ops: vec![OpRequest { op: op.into(), common }] };
        self.submit(request, vec![job], ctx, move |actor, submitted, _| {
            match submitted.map(|ids| ids.first().copied()) {
                Ok(Some(job)) => actor.on_job_end(
                    job,
                    Box::new(move |actor, record, ctx| {
                        let welcome = welcome(actor.context.clone(), node, csr, failure_of(record));
                        ctx.spawn_then(welcome, move |_, joined, _| reply.send(joined));
                    }),
                ),
                Ok(None) => {
                    reply.send(Err(Fault::new(FaultCode::InternalError, "the job got no id")));
                }
                Err(fault) => reply.send(Err(fault)),
            }
        });
    }
}

/// Why the job that was to add a node did not.
fn failure_of(job: &JobRecord) -> Option<Fault> {
    if job.status() == JobStatus::Success {
        return None;
    }
    let text = format!("job {} did not succeed", job.id);
    let fault = job.ops.iter().find_map(|op| op.fault.clone());
    Some(fault.unwrap_or_else(|| Fault::new(FaultCode::InternalError, text)))
}

/// What a node needs, once the job that added it has ended well.
async fn welcome(
    context: MasterContext,
    node: NodeUuid,
    csr: Vec<u8>,
    failure: Option<Fault>,
) -> Result<Joined, Fault> {
    if let Some(fault) = failure {
        return Err(fault);
    }
    let candidate = context.state().nodes.get(&node).is_some_and(|node| node.master_candidate);
    let role = if candidate { Role::Candidate } else { Role::Node };
    let sign = move |keys: &dyn CertificateSigner, state: &ClusterState| {
        keys.sign(state, role, node.0, &csr)
    };
    let chain = context.keys("sign the node's certificate", sign).await?;
    let state = context.state();
    let member = state.nodes.get(&node);
    let master = state.nodes.get(&context.config.node);
    let (Some(cluster), Some(member), Some(master)) = (&state.cluster, member, master) else {
        let text = "the node was removed while it joined";
        return Err(Fault::new(FaultCode::WrongState, text));
    };
    Ok(Joined {
        cluster: cluster.as_ref().clone(),
        node,
        node_name: member.name.clone(),
        chain,
        hold_log: candidate,
        master: master.as_ref().clone(),
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
