//! Parameter sets: hypervisor and backend parameters with cluster defaults and overrides.
//!
//! Each set is one table: type, default, what is accepted, since when. Row numbers: surface.md
//! part 6 and 8.2. Deliberately absent: what a parameter does (hypervisors know), and how it is
//! typed (commands know).

mod backend;
mod cpu_mask;
mod hypervisor;
mod kvm;
mod kvm_rules;
mod private;
mod secret;
mod set;
mod value;

pub use backend::{BackendOverrides, BackendParams};
pub use cpu_mask::{CPU_MAX, CpuMask, CpuSet, NotACpuMask};
pub use hypervisor::{
    FakeOverrides, HvOverrides, HvParams, HypervisorDefaults, HypervisorKind, KvmOverrides,
};
pub use kvm::{CLUSTER_ONLY, FakeParams, KvmParams};
pub use private::{PrivateParams, REDACTED};
pub use secret::SecretParams;
pub use set::{Overrides, ParamSpec, ParameterSet};
pub use value::{
    PARAM_TEXT_BYTES_MAX, ParamError, ParamKind, ParamRef, ParamType, ParamValue, is_interface,
    is_plain_path, is_url,
};
