//! The tiny guest: a boot sector of our own with which the life cycle of a guest is tested and with
//! which we find out whether an accelerator works. Source: `guest/tiny.S`, which says what it says
//! and obeys.

/// Its image. SeaBIOS boots it from a disk of 1 MiB or more; the boot counter is in the disk's
/// second sector.
pub const TINY_GUEST_IMAGE: &[u8] = include_bytes!("../guest/tiny.img");

/// What it says first, on COM1; the number of boots of its disk follows.
pub const TINY_GUEST_UP: &str = "GANTRY-GUEST UP boot=";
