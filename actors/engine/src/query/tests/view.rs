//! A state, a picture and what else is known, to fill tables from.

use std::collections::BTreeMap;

use gantry_model::errors::Fault;
use gantry_model::ids::{InstanceUuid, JobId, NodeUuid, RunEpoch};
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::locks::LockRow;
use gantry_model::messages::{ClusterInfo, Report};
use gantry_model::params::HypervisorKind;
use gantry_model::query::{Cell, Filter, Resource, Table};
use gantry_model::report::{GuestReport, GuestState, NodeInfo, ReportEvent, UnreadableGuest};
use gantry_model::units::{MiB, Timestamp};
use gantry_wire::BootId;
use serde::Deserialize as _;
use uuid::Uuid;

use super::super::{Asked, Live, Picture, table};
use crate::state::tests::sample::{Log, instance_id, instance_name};

pub(super) fn boot(number: u8) -> BootId {
    BootId(Uuid::from_u128(u128::from(number)))
}

pub(super) fn info(memory_free: u64) -> NodeInfo {
    NodeInfo {
        memory_total: MiB(4096),
        memory_free: MiB(memory_free),
        memory_node: MiB(512),
        disk_total: MiB(10_000),
        disk_free: MiB(9_000),
        cpus: 4,
        booted: Timestamp(5),
        boot_id: Uuid::from_u128(0xb007),
        cpu_sockets: 2,
        numa_nodes: 0,
        hypervisors: vec![(HypervisorKind::Fake, "fake".into())],
    }
}

pub(super) fn guest(instance: u8, state: GuestState) -> GuestReport {
    GuestReport {
        instance: instance_id(instance),
        name: instance_name(instance),
        hypervisor: HypervisorKind::Fake,
        state,
        epoch: RunEpoch(1),
        memory: MiB(256),
        vcpus: 2,
        pid: None,
        accelerator: String::new(),
    }
}

pub(super) fn unreadable(instance: u8) -> UnreadableGuest {
    UnreadableGuest {
        instance: instance_id(instance),
        hypervisor: HypervisorKind::Fake,
        reason: "its record cannot be read".into(),
    }
}

#[derive(Default)]
pub(super) struct View {
    pub(super) log: Log,
    pub(super) picture: Picture,
    pub(super) jobs: BTreeMap<JobId, JobStatus>,
    pub(super) archived: Vec<JobRecord>,
    pub(super) locks: Vec<LockRow>,
    pub(super) cluster: Option<ClusterInfo>,
}

impl View {
    pub(super) fn new() -> Self {
        Self { log: Log::new(), ..Self::default() }
    }

    /// A node says everything.
    pub(super) fn reports(&mut self, node: NodeUuid, guests: Vec<GuestReport>) {
        self.reports_all(node, guests, Vec::new());
    }

    /// The same, with guests that it cannot find out.
    pub(super) fn reports_all(
        &mut self,
        node: NodeUuid,
        guests: Vec<GuestReport>,
        unreadable: Vec<UnreadableGuest>,
    ) {
        let events = vec![ReportEvent::Full { info: info(2048), guests, unreadable }];
        self.picture.report(Report { node, boot: boot(1), first: 0, events });
    }

    pub(super) fn ask(
        &self,
        resource: Resource,
        fields: &[&str],
        names: &[&str],
    ) -> Result<Table, Fault> {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let (fields, names) = (owned(fields), owned(names));
        self.answer(Asked { resource, fields: &fields, names: &names, filter: None })
    }

    /// The first column of the rows that a filter wants, which is given in its serialised form.
    pub(super) fn wanted(
        &self,
        resource: Resource,
        field: &str,
        filter: &serde_json::Value,
    ) -> Result<Vec<serde_json::Value>, Fault> {
        let filter = Filter::deserialize(filter).expect("a filter");
        let fields = [field.to_owned()];
        let asked = Asked { resource, fields: &fields, names: &[], filter: Some(&filter) };
        let table = self.answer(asked)?;
        assert!(table.filtered);
        let rows = table.rows.into_iter().map(|mut row| match row.remove(0) {
            Cell::Value(value) => value,
            other => serde_json::json!(format!("{other:?}")),
        });
        Ok(rows.collect())
    }

    fn answer(&self, asked: Asked<'_>) -> Result<Table, Fault> {
        let live = Live {
            picture: &self.picture,
            jobs: &self.jobs,
            archived: &self.archived,
            locks: &self.locks,
            cluster: self.cluster.as_ref(),
        };
        table(&self.log.state, live, asked)
    }

    pub(super) fn table(&self, resource: Resource, fields: &[&str], names: &[&str]) -> Table {
        self.ask(resource, fields, names).expect("names that exist")
    }

    /// One field of one row.
    pub(super) fn cell(&self, resource: Resource, field: &str, name: &str) -> Cell {
        let mut table = self.table(resource, &[field], &[name]);
        table.rows.remove(0).remove(0)
    }

    /// The state of an instance as people see it.
    pub(super) fn status(&self, instance: InstanceUuid) -> String {
        match self.cell(Resource::Instance, "status", &instance.to_string()) {
            Cell::Value(serde_json::Value::String(word)) => word,
            other => panic!("no status: {other:?}"),
        }
    }
}
