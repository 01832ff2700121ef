//! Wiping the disks of a new instance (D59, P53): in parts, each a step of its own, so that a crash
//! costs one part and a job that is asked where it is can say so.

use gantry_model::node_calls::DiskWipe;
use gantry_model::objects::{Disk, Instance, Node};
use gantry_model::steps::{Act, Step};
use gantry_model::units::MiB;

/// A part is a tenth of its disk, as in Ganeti.
const PARTS: u64 = 10;

/// Largest part, as in Ganeti. Lower makes more entries in the log than there is news, higher makes
/// a call that a crash repeats for minutes.
const PART_MAX: MiB = MiB(1024);

/// Most parts of one disk: with 16 disks the steps stay below the limit of an opcode. Larger disks
/// have larger parts.
const PARTS_MAX: u64 = 50;

/// One step for each part of each disk.
pub(super) fn wipe_disks(instance: &Instance, node: &Node) -> Vec<Step> {
    let parts = instance.disks.iter().flat_map(|disk| parts(disk).map(move |part| (disk, part)));
    let mut steps: Vec<Step> = parts.map(|(disk, part)| wipe(disk, node, part)).collect();
    if let Some(first) = steps.first_mut() {
        first.says = Some("* wiping instance disks...".into());
    }
    steps
}

fn part_size(disk: &Disk) -> u64 {
    let wanted = (disk.size.0 / PARTS).clamp(1, PART_MAX.0);
    wanted.max(disk.size.0.div_ceil(PARTS_MAX))
}

/// Where each part begins and how large it is.
fn parts(disk: &Disk) -> impl Iterator<Item = (MiB, MiB)> {
    let (all, part) = (disk.size.0, part_size(disk));
    (0..all.div_ceil(part)).map(move |idx| {
        let offset = idx * part;
        (MiB(offset), MiB(part.min(all - offset)))
    })
}

fn wipe(disk: &Disk, node: &Node, (offset, size): (MiB, MiB)) -> Step {
    let name = format!("wipe disk {} from {offset} on", disk.index);
    Step::new(name, Act::call(node.uuid, DiskWipe { disk: disk.clone(), offset, size }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_model::steps::STEPS_MAX;

    use super::*;
    use crate::lu::rig::{Rig, all_steps, instance};
    use crate::lu::samples::create;

    fn of_size(size: u64) -> Disk {
        Disk { size: MiB(size), ..instance().disks.remove(0) }
    }

    // covers: D59
    #[test]
    fn the_parts_of_a_disk_are_all_of_it_and_not_too_many() {
        for size in [1, 5, 10, 64, 1024, 1029, 10_240, 65_536, 64 * 1024 * 1024] {
            let disk = of_size(size);
            let mut end = 0;
            let mut n_parts = 0;
            for (offset, part) in parts(&disk) {
                assert_eq!(offset.0, end, "{size}");
                end += part.0;
                n_parts += 1;
            }
            assert_eq!(end, size);
            assert!(n_parts <= PARTS_MAX, "{size}: {n_parts}");
        }
        assert_eq!(parts(&of_size(1024)).next(), Some((MiB(0), MiB(102))));
        assert_eq!(parts(&of_size(65_536)).next(), Some((MiB(0), MiB(1311))));
        assert!(PARTS_MAX * 16 + 100 < u64::from(STEPS_MAX));
    }

    // covers: D59 P53
    #[test]
    fn disks_are_wiped_before_anything_is_written_to_them_where_the_cluster_says_so() {
        let mut rig = Rig::new();
        let plan = rig.check(&create().into()).expect("not refused");
        let names = |plan: &_| -> Vec<String> {
            all_steps(&create().into(), plan).into_iter().map(|step| step.name).collect()
        };
        assert!(!names(&plan).iter().any(|name| name.starts_with("wipe")));
        let cluster = Arc::make_mut(rig.state.cluster.as_mut().expect("there is one"));
        cluster.settings.prealloc_wipe_disks = true;
        let plan = rig.check(&create().into()).expect("not refused");
        let names = names(&plan);
        let at = |wanted: &str| names.iter().position(|name| name == wanted).expect(wanted);
        assert!(at("create disk 1") < at("wipe disk 0 from 0 MiB on"), "{names:?}");
        assert!(at("wipe disk 1 from 510 MiB on") < at("copy an image onto disk 0"), "{names:?}");
        rig.run(create());
        assert_eq!(rig.nodes.wiped.len(), 22, "eleven parts of each: what is left over is one");
    }
}
