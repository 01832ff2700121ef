//! Whether what an opcode names is what was meant, where its id was given as well (O97).
//!
//! Asked when a job is submitted, and again under its locks: a name may mean another thing by then.

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::opcodes::{Expected, OpCommon};

/// Compares names and ids.
///
/// # Errors
/// When there is nothing of that name, or it has another id.
pub(crate) fn check_expected(common: &OpCommon, state: &ClusterState) -> Result<(), Fault> {
    common.expected.iter().try_for_each(|expected| match expected {
        Expected::Instance { name, uuid } => {
            let found = state.find_instance(name.as_str())?;
            agree("instance", &found.name, &found.uuid, uuid)
        }
        Expected::Node { name, uuid } => {
            let found = state.find_node(name.as_str())?;
            agree("node", &found.name, &found.uuid, uuid)
        }
    })
}

/// In Ganeti's words.
fn agree<Id: PartialEq + std::fmt::Display>(
    kind: &str,
    name: &impl std::fmt::Display,
    is: &Id,
    expected: &Id,
) -> Result<(), Fault> {
    if is == expected {
        return Ok(());
    }
    let text = format!(
        "The {kind}s UUID '{is}' does not match the expected UUID '{expected}' for {kind} \
         '{name}'. Maybe the {kind} changed since you submitted this job."
    );
    Err(Fault::new(FaultCode::ResourceNotUnique, text))
}
