//! Names as the cluster has them: what is confirmed, said and submitted is the whole name, whatever
//! was typed (C208).

use gantry_model::names::InstanceName;
use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::records::records;

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
    let table = ctx.client().await?.query(Resource::Instance, &["name"], &typed).await?;
    let names = records(&table).map(|row| {
        InstanceName::new(&row.text("name")).map_err(|error| {
            let bug = Failure::Bug(format!("the cluster has an instance of this name: {error}"));
            CommandError::new(CommandErrorKind::Internal, bug)
        })
    });
    names.collect()
}
