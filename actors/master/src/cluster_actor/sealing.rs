//! Secret parameters of jobs (row Q13): taken out of the opcodes and sealed before anything is
//! written down. In the log they are secrets of the cluster until their job ends.
//!
//! Called by submissions and by nobody else. Deliberately absent: opening them, which whoever runs
//! the scripts of an OS will do.

use std::collections::BTreeMap;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::NewJob;
use gantry_model::params::PrivateParams;
use gantry_model::trust::{SealedSecret, SecretName};
use gantry_wire::RequestId;

use crate::context::MasterContext;

/// Who submits gives values, not names of what the log has sealed: these could be another's.
pub(super) fn check_given(job: &NewJob) -> Result<(), Fault> {
    match job.ops.iter().find_map(|op| op.op.secret()) {
        Some(name) => {
            let text = format!("the job refers to the secret {name}; give the parameters instead");
            Err(Fault::new(FaultCode::WrongInput, text))
        }
        None => Ok(()),
    }
}

/// Seals what the opcodes of a submission keep from sight, and leaves only names in them.
pub(super) async fn seal(
    context: &MasterContext,
    request: RequestId,
    jobs: &mut [NewJob],
) -> Result<BTreeMap<SecretName, SealedSecret>, Fault> {
    let mut taken: Vec<(SecretName, Vec<u8>)> = Vec::new();
    for (job_idx, job) in jobs.iter_mut().enumerate() {
        for (op_idx, op) in job.ops.iter_mut().enumerate() {
            let name = SecretName::parameters(request, job_idx, op_idx);
            if let Some(params) = op.op.secret_mut().and_then(|params| params.take(name.clone())) {
                taken.push((name, encoded(&params)?));
            }
        }
    }
    if taken.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sealing = context.keys("seal secret parameters", move |keys, state| {
        let sealed = taken
            .into_iter()
            .map(|(name, params)| Ok((name.clone(), keys.seal(state, &name, &params)?)));
        sealed.collect()
    });
    sealing.await
}

fn encoded(params: &PrivateParams) -> Result<Vec<u8>, Fault> {
    let attempted = "encode secret parameters";
    gantry_wire::encode(params)
        .map_err(|error| Fault::from_error(FaultCode::InternalError, attempted, &error))
}
