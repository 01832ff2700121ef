//! The state machine as Raft sees it: in memory, published after each batch.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use gantry_engine::state::ClusterState;
use gantry_model::ids::Revision;
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::brake::Halt;
use super::comparison::Points;
use super::context::NodeContext;
use super::convert;
use super::log_store::LogShared;
use super::types::{Answer, Config, LogId, Snapshot, SnapshotMeta, StoredMembership};
use crate::disk::DiskError;
use crate::disk::level_file::LevelFile;
use crate::disk::snapshot_codec;
use crate::disk::snapshot_file::SnapshotFile;
use crate::forms::SnapshotHead;
use crate::history::History;
use crate::level::LevelError;

/// The applied state, for everybody.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) state: watch::Sender<Arc<ClusterState>>,
    pub(crate) revision: watch::Sender<Revision>,
}

impl Published {
    pub(crate) fn new() -> Arc<Self> {
        let state = Arc::new(ClusterState::default());
        let revision = watch::Sender::new(state.revision);
        Arc::new(Self { state: watch::Sender::new(state), revision })
    }

    fn publish(&self, state: &ClusterState) {
        // The state first: who is woken by the revision must find it.
        self.state.send_replace(Arc::new(state.clone()));
        self.revision.send_if_modified(|revision| {
            let changed = *revision != state.revision;
            *revision = state.revision;
            changed
        });
    }
}

/// What the state machine is made of.
pub(crate) struct MachineParts {
    pub(crate) published: Arc<Published>,
    pub(crate) snapshots: Arc<SnapshotFile>,
    pub(crate) log: Arc<LogShared>,
    pub(crate) points: Arc<Points>,
    pub(crate) history: Arc<History>,
    pub(crate) node: Arc<NodeContext>,
    /// What this program knows.
    pub(crate) levels: Levels,
    pub(crate) level_file: Arc<LevelFile>,
}

/// The state machine.
pub(crate) struct Machine {
    state: ClusterState,
    applied: Option<LogId>,
    membership: StoredMembership,
    parts: MachineParts,
}

impl Machine {
    /// A machine in the state of the snapshot that is kept, if there is one.
    pub(crate) fn new(kept: Option<SnapshotHead>, parts: MachineParts) -> Result<Self, DiskError> {
        let mut machine = Self {
            state: ClusterState::default(),
            applied: None,
            membership: StoredMembership::default(),
            parts,
        };
        if let Some(head) = kept {
            machine.become_snapshot(head)?;
        }
        Ok(machine)
    }

    fn become_snapshot(&mut self, head: SnapshotHead) -> Result<(), DiskError> {
        self.membership = convert::membership_at(head.membership)?;
        self.applied = Some(convert::log_id(head.last));
        self.state = head.state;
        self.parts.log.stamp(head.at);
        self.parts.published.publish(&self.state);
        Ok(())
    }

    /// A level is on disk before anything is done under it, and one that this program does not
    /// know is the end of it. Cheap as long as the level stays.
    async fn note_level(&self) -> io::Result<()> {
        let (level, file) = (self.state.level, self.parts.level_file.clone());
        if level > file.level() {
            self.parts.node.blocking(move || file.reached(level)).await?.map_err(|error| {
                self.parts.log.fail(&error);
                io::Error::from(error)
            })?;
            tracing::info!(level, "the log has reached this state level");
        }
        match LevelError::of(level, self.parts.levels) {
            Some(unknown) => {
                self.parts.log.halt(Halt::Level(unknown.clone()));
                Err(io::Error::other(unknown))
            }
            None => Ok(()),
        }
    }

    async fn flush_history(&self) -> io::Result<()> {
        let history = self.parts.history.clone();
        let flushed = self.parts.node.blocking(move || history.flush()).await?;
        flushed.map_err(|error| {
            self.parts.log.fail(&error);
            error.into()
        })
    }

    fn builder(&self) -> Builder {
        Builder {
            state: self.state.clone(),
            applied: self.applied,
            membership: self.membership.clone(),
            at: self.parts.log.latest_at(),
            snapshots: self.parts.snapshots.clone(),
            history: self.parts.history.clone(),
            node: self.parts.node.clone(),
        }
    }
}

impl RaftStateMachine<Config> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Config>>> + Unpin + Send,
    {
        let mut answers: Vec<(ApplyResponder<Config>, Answer)> = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            if let Some(halt) = self.parts.log.halted() {
                return Err(io::Error::other(halt.to_string()));
            }
            self.applied = Some(entry.log_id);
            let answer = match entry.payload {
                EntryPayload::Blank => Answer(None),
                EntryPayload::Normal(proposal) => {
                    let revision = Revision(entry.log_id.index);
                    let mut emitted = Vec::new();
                    let applied = self.state.apply_into(revision, &proposal.entry, &mut emitted);
                    if self.parts.history.push(emitted) {
                        self.flush_history().await?;
                    }
                    self.note_level().await?;
                    Answer(Some(applied))
                }
                EntryPayload::Membership(members) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), members);
                    Answer(None)
                }
            };
            let n_holders = self.membership.membership().nodes().count();
            self.parts.points.applied(entry.log_id.index, n_holders, &self.state);
            answers.extend(responder.map(|responder| (responder, answer)));
        }
        // Published before anybody is answered: who has an answer reads what it says.
        self.parts.published.publish(&self.state);
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.builder()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let (snapshots, history) = (self.parts.snapshots.clone(), self.parts.history.clone());
        let (levels, level_file) = (self.parts.levels, self.parts.level_file.clone());
        let decoded = self
            .parts
            .node
            .blocking(move || {
                let head = snapshot_codec::decode(&data, levels)?;
                level_file.reached(head.state.level)?;
                // What the snapshot counts and is here must not be lost with the entries.
                history.flush()?;
                snapshots.keep(head.last, &data)?;
                history.installed(&head.state.history)?;
                Ok::<_, DiskError>(head)
            })
            .await??;
        if meta.last_log_id != Some(convert::log_id(decoded.last)) {
            return Err(io::Error::other("the snapshot is not the one that was announced"));
        }
        self.become_snapshot(decoded)?;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let (snapshots, levels) = (self.parts.snapshots.clone(), self.parts.levels);
        let found = self
            .parts
            .node
            .blocking(move || {
                let Some(bytes) = snapshots.bytes()? else { return Ok(None) };
                let head = snapshot_codec::decode_head(&bytes, levels)?;
                Ok::<_, DiskError>(Some((head, bytes)))
            })
            .await??;
        let Some((head, snapshot)) = found else { return Ok(None) };
        Ok(Some(Snapshot { meta: meta_of(&head)?, snapshot }))
    }
}

/// What a snapshot says it is of, as Raft wants it.
pub(crate) fn meta_of(head: &SnapshotHead) -> Result<SnapshotMeta, DiskError> {
    Ok(SnapshotMeta {
        last_log_id: Some(convert::log_id(head.last)),
        last_membership: convert::membership_at(head.membership.clone())?,
    })
}

/// Makes a snapshot of the state as it was when this was made.
pub(crate) struct Builder {
    state: ClusterState,
    applied: Option<LogId>,
    membership: StoredMembership,
    at: Timestamp,
    snapshots: Arc<SnapshotFile>,
    history: Arc<History>,
    node: Arc<NodeContext>,
}

impl RaftSnapshotBuilder<Config> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let Some(last) = self.applied else {
            return Err(io::Error::other("nothing has been applied yet"));
        };
        let head = SnapshotHead {
            last: convert::log_id_form(&last),
            membership: convert::membership_at_form(&self.membership),
            at: self.at,
            state_hash: String::new(),
            n_items: 0,
            state: self.state.clone(),
        };
        let meta = meta_of(&head)?;
        let (snapshots, history) = (self.snapshots.clone(), self.history.clone());
        let bytes = self
            .node
            .blocking(move || {
                let last = head.last;
                let bytes = snapshot_codec::encode(head)?;
                // The entries that gave these records out are not applied again after a restart.
                history.flush()?;
                snapshots.keep(last, &bytes)?;
                tracing::info!(index = last.index, bytes = bytes.len(), "snapshot made");
                Ok::<_, DiskError>(bytes)
            })
            .await??;
        Ok(Snapshot { meta, snapshot: bytes })
    }
}
