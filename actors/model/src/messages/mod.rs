//! The messages of a cluster: what is said to `/cluster`, `/locks`, `/node/<uuid>` and
//! `/instance/<uuid>`.

mod cluster;
mod inspect;
mod locks;
mod node;
mod trust;

pub use cluster::{
    ArchiveJobs, AutoArchiveJobs, AutoArchived, CANCEL_WAIT, CancelJob, Canceled,
    ChangeJobPriority, ClusterInfo, FAILOVER_WAIT, Fields, FoundTag, JobChange, JobTouched, Join,
    Joined, LogHolders, MasterFailover, NewJob, PlanJob, PriorityChanged, QueryActors,
    QueryCluster, QueryFields, QueryJobs, QueryTable, Report, ReportAck, SearchTags, SubmitJobs,
    TokenIssue, TokenIssued, Versions, WAIT_MAX, WaitJob,
};
pub use inspect::{
    FLIGHT_ROWS_MAX, FlightRow, LinkCounts, LinkRow, LinkTable, QueryFlight, QueryLinks,
};
pub use locks::{AcquireLocks, LocksGranted, QueryLocks, ReleaseLocks};
pub use node::{
    ActorRow, CallNode, ConsoleChunk, FollowMaster, GatherFacts, InstallReign, LogHeld,
    ReadConsole, ReignInstalled, StallRow, WriteConsole,
};
pub use trust::{
    CertificateIssue, CertificateIssued, CertificateKind, CertificateRenew, ClusterKeyFetch,
    ClusterKeyHanded, OperatorCertificate, QueryTrust, TrustView,
};

use gantry_wire::ActorPath;

use crate::ids::JobId;

/// `/cluster`: the cluster actor, on the leader.
#[must_use]
pub fn cluster_path() -> ActorPath {
    crate::node_calls::path("/cluster")
}

/// `/locks`: the lock actor, on the leader.
#[must_use]
pub fn locks_path() -> ActorPath {
    crate::node_calls::path("/locks")
}

/// `/job/<id>`: the actor of a job.
#[must_use]
pub fn job_path(job: JobId) -> ActorPath {
    crate::node_calls::path(&format!("/job/{job}"))
}

/// Declares messages: `messages! { Type = "wire.name", Access, Reply; … }`.
macro_rules! messages {
    ($($name:ident = $wire:literal, $access:ident, $reply:ty;)*) => { $(
        impl gantry_wire::Message for $name {
            const WIRE_NAME: &'static str = $wire;
            const ACCESS: gantry_wire::Access = gantry_wire::Access::$access;
            type Reply = $reply;
        }
    )* };
}
pub(crate) use messages;
