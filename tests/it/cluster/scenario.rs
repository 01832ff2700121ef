//! Operations that are crashed at every point: what comes before, what they are, how they must end.

use std::path::Path;
use std::sync::Arc;

use gantry_hv::fake::FakeEffect;
use gantry_model::jobs::JobStatus;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::{OpRequest, RebootType};
use gantry_storage::fake::FakeStoreEffect;
use gantry_tests::{JobEnd, MachineNumber, SimCluster, ops};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

/// The seed of all of them. Which point is which depends on it; that each is right does not.
const SEED: u64 = 11;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    /// A creation whose image cannot be copied: it is taken back.
    CreateInVain,
    /// A creation whose guest does not start: the instance is there (row I1).
    CreateUnstarted,
    Startup,
    Shutdown,
    /// The guest is reset in place.
    Reboot,
    /// It is stopped and started.
    RebootFull,
    Remove,
}

/// An operation on an instance of one machine.
pub(crate) struct Scenario {
    pub(crate) operation: Operation,
    /// Where the instance is. The first machine is also the leader.
    pub(crate) on: MachineNumber,
    image: Arc<NamedTempFile>,
}

impl Scenario {
    pub(crate) fn new(operation: Operation, on: MachineNumber) -> Self {
        let image = NamedTempFile::new().expect("a temporary file");
        std::fs::write(image.path(), b"an image").expect("written");
        Self { operation, on, image: Arc::new(image) }
    }

    fn create(&self) -> OpRequest {
        let image: &Path = self.image.path();
        ops::create_from_image("web1", self.on, image).into()
    }

    /// A cluster of two in which the operation can be done.
    pub(crate) async fn set_up(&self) -> SimCluster {
        let cluster = SimCluster::new(SEED, 2).await;
        let before: Vec<OpRequest> = match self.operation {
            Operation::Create => vec![],
            Operation::CreateInVain => {
                cluster.disks().injector().fail_next(FakeStoreEffect::WriteImage, u32::MAX);
                vec![]
            }
            Operation::CreateUnstarted => {
                cluster.guests().injector().fail_next(FakeEffect::Begin, u32::MAX);
                vec![]
            }
            Operation::Startup => vec![self.create(), ops::shutdown("web1").into()],
            Operation::Shutdown | Operation::Reboot | Operation::RebootFull | Operation::Remove => {
                vec![self.create()]
            }
        };
        for op in before {
            cluster.client().done(op).await;
        }
        cluster
    }

    fn op(&self) -> OpRequest {
        match self.operation {
            Operation::Create | Operation::CreateInVain | Operation::CreateUnstarted => {
                self.create()
            }
            Operation::Startup => ops::startup("web1").into(),
            Operation::Shutdown => ops::shutdown("web1").into(),
            Operation::Reboot => ops::reboot("web1", RebootType::Hard).into(),
            Operation::RebootFull => ops::reboot("web1", RebootType::Full).into(),
            Operation::Remove => ops::remove("web1").into(),
        }
    }

    /// Begins the operation; its client waits for the end, whatever happens.
    pub(crate) fn begin(&self, cluster: &SimCluster) -> JoinHandle<JobEnd> {
        let (client, op) = (cluster.client(), self.op());
        tokio::task::spawn_local(async move { client.submit_and_wait(op).await })
    }

    /// The job has ended as it must, and so has everything else.
    pub(crate) async fn assert_right(&self, cluster: &SimCluster, end: &JobEnd, context: &str) {
        let (expected, n_instances, n_running) = match self.operation {
            Operation::Create | Operation::Startup | Operation::Reboot | Operation::RebootFull => {
                (JobStatus::Success, 1, 1)
            }
            Operation::Shutdown => (JobStatus::Success, 1, 0),
            Operation::CreateInVain => (JobStatus::Error, 0, 0),
            Operation::CreateUnstarted => (JobStatus::Error, 1, 0),
            Operation::Remove => (JobStatus::Success, 0, 0),
        };
        assert_eq!(end.status, expected, "{context}: {:?}", end.fault);
        if self.operation == Operation::CreateUnstarted {
            // It stays marked as up, as in Ganeti, so that a watcher would try again.
            let state = cluster.state();
            let wanted = state.instances.values().map(|instance| instance.admin_state);
            assert_eq!(wanted.collect::<Vec<_>>(), [AdminState::Up], "{context}");
            cluster.client().done(ops::shutdown("web1")).await;
        }
        cluster.assert_all_well().await;
        assert_eq!(cluster.state().instances.len(), n_instances, "{context}");
        let running = cluster.guests().running().await.expect("a world in memory");
        assert_eq!(running.len(), n_running, "{context}");
        let images = cluster.disks().disks().await.expect("a world in memory");
        assert_eq!(images.len(), n_instances, "{context}");
        assert!(images.iter().all(|disk| disk.image.is_some()), "{context}: {images:?}");
        // A guest that does not run has given up its disks.
        assert!(
            images.iter().all(|disk| disk.attached == (n_running > 0)),
            "{context}: {images:?}"
        );
    }
}
