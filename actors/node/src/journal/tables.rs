//! The tables of the journal file, and the form of their records.

use std::sync::Arc;

use gantry_model::ids::JobId;
use gantry_model::steps::{Direction, StepId};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalError;

/// The form of this file. Raised when a record could be misread; a new optional field needs no new
/// number, since records have named fields.
pub(super) const FORMAT: u64 = 1;

/// Key of the form in `meta`.
pub(super) const META_FORMAT: &str = "format";
/// Key of the highest reign in `meta`.
pub(super) const META_REIGN: &str = "reign";
/// Key of the first job that is not settled in `meta`.
pub(super) const META_SETTLED_BELOW: &str = "settled-below";

/// A step id in the order of jobs: job, opcode, step, 0 forward or 1 back.
pub(super) type StepKey = (u64, u32, u32, u8);

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Job to its highest attempt.
const ATTEMPTS: TableDefinition<'_, u64, u64> = TableDefinition::new("attempts");
/// Instance to the highest epoch of which a start was begun here. Never pruned: it is what keeps a
/// late start of an old epoch out, and holds some 40 bytes per instance that ever started here.
const EPOCHS: TableDefinition<'_, u128, u64> = TableDefinition::new("epochs");
const INTENTS: TableDefinition<'_, StepKey, &[u8]> = TableDefinition::new("intents");
const RESULTS: TableDefinition<'_, StepKey, &[u8]> = TableDefinition::new("results");

/// All tables, open in one transaction, and whether anything in them was changed.
pub(super) struct Tables<'txn> {
    pub(super) meta: Table<'txn, &'static str, u64>,
    pub(super) attempts: Table<'txn, u64, u64>,
    pub(super) epochs: Table<'txn, u128, u64>,
    pub(super) intents: Table<'txn, StepKey, &'static [u8]>,
    pub(super) results: Table<'txn, StepKey, &'static [u8]>,
    pub(super) changed: bool,
}

impl<'txn> Tables<'txn> {
    pub(super) fn of(txn: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: txn.open_table(META)?,
            attempts: txn.open_table(ATTEMPTS)?,
            epochs: txn.open_table(EPOCHS)?,
            intents: txn.open_table(INTENTS)?,
            results: txn.open_table(RESULTS)?,
            changed: false,
        })
    }

    pub(super) fn meta(&self, key: &str) -> Result<u64, redb::Error> {
        Ok(self.meta.get(key)?.map_or(0, |value| value.value()))
    }

    pub(super) fn set_meta(&mut self, key: &str, value: u64) -> Result<(), redb::Error> {
        self.meta.insert(key, value)?;
        self.changed = true;
        Ok(())
    }

    /// Removes all records of jobs below `job`.
    pub(super) fn forget_below(&mut self, job: JobId) -> Result<(), redb::Error> {
        let end: StepKey = (job.0, 0, 0, 0);
        self.intents.retain_in(..end, |_, _| false)?;
        self.results.retain_in(..end, |_, _| false)?;
        self.attempts.retain_in(..job.0, |_, _| false)?;
        self.changed = true;
        Ok(())
    }
}

pub(super) fn key_of(step: StepId) -> StepKey {
    let back = u8::from(step.direction == Direction::Undo);
    (step.job.0, step.op_idx, step.seq, back)
}

pub(super) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, JournalError> {
    gantry_wire::encode(value)
        .map_err(|source| JournalError::Encode { what, source: Arc::new(source) })
}

pub(super) fn decode<T: DeserializeOwned>(
    table: &'static str,
    step: StepId,
    bytes: &[u8],
) -> Result<T, JournalError> {
    gantry_wire::decode(bytes).map_err(|source| JournalError::Damaged {
        table,
        step,
        source: Arc::new(source),
    })
}
