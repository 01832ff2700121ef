//! Names as the cluster has them: what is confirmed, said and submitted is the whole name, whatever
//! was typed (C208).

use gantry_client::ClientError;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::names::InstanceName;
use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::records::records;

/// The error of a command on one instance in the words that Ganeti has for it, which are others
/// than those of a list: `said` of an instance that does not exist. Of several names it is not
/// known which one is meant; there the words stay.
pub(crate) fn in_words(error: ClientError, typed: &[String], said: &str) -> CommandError {
    let is_unknown = error.fault().is_some_and(|fault| fault.code == FaultCode::UnknownEntity);
    match typed {
        [name] if is_unknown => {
            Fault::new(FaultCode::UnknownEntity, format!("Instance '{name}' {said}")).into()
        }
        _ => error.into(),
    }
}

/// The instances that are meant by these names, in this order.
///
/// # Errors
/// When one does not exist, or could be several.
pub(crate) async fn instances(
    ctx: &mut Context<'_>,
    typed: &[InstanceName],
) -> Result<Vec<InstanceName>, CommandError> {
    let typed: Vec<String> = typed.iter().map(ToString::to_string).collect();
    ctx.typed(Resource::Instance, &typed);
    let client = ctx.client().await?;
    let table = client.query(Resource::Instance, &["name"], &typed).await;
    let table = table.map_err(|error| in_words(error, &typed, "not known"))?;
    let names = records(&table).map(|row| {
        InstanceName::new(&row.text("name")).map_err(|error| {
            let bug = Failure::Bug(format!("the cluster has an instance of this name: {error}"));
            CommandError::new(CommandErrorKind::Internal, bug)
        })
    });
    names.collect()
}
