//! The conformance suite over real QEMU, emulated. Says aloud when there is no QEMU.
//!
//! covers: H130 H131 H132 H133 H135 H145 H152 H154 H157 H159 H167

mod kvm_bench;

use kvm_bench::KvmBench;

gantry_hv::conformance_tests!(KvmBench::new);
