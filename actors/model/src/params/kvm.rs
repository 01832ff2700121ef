//! Parameters of kvm (H1–H65): the table. What they mean to QEMU is in `gantry-hv`; which go
//! together, in [`super::kvm_rules`].

use super::set::{ParamSpec, ParameterSet, parameter_set};
use super::value::ParamKind::{
    CpuMask, Flag, Listen, Number, NumberOf, Path, PathNeeded, PathOrUrl, Text, Token, Word,
};
use super::value::{ANY_NUMBER, ParamRef, ParamType};

/// How disks and CD drives can appear in a guest (H32).
const DISK_TYPES: &[&str] = &[
    "ide",
    "mtd",
    "paravirtual",
    "pflash",
    "scsi",
    "scsi-block",
    "scsi-cd",
    "scsi-generic",
    "scsi-hd",
    "sd",
];

/// The same, or as the disks (H33).
const CDROM_TYPES: &[&str] = &[
    "",
    "ide",
    "mtd",
    "paravirtual",
    "pflash",
    "scsi",
    "scsi-block",
    "scsi-cd",
    "scsi-generic",
    "scsi-hd",
    "sd",
];

/// Network cards that a guest can see (H31).
const NIC_TYPES: &[&str] = &[
    "e1000",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "paravirtual",
    "pcnet",
    "rtl8139",
];

/// Speeds of serial lines (H8).
const SERIAL_SPEEDS: &[u32] = &[
    75, 110, 300, 600, 1_200, 1_800, 2_400, 4_800, 9_600, 14_400, 19_200, 28_800, 38_400, 57_600,
    115_200, 230_400, 345_600, 460_800,
];

/// How much of pictures SPICE may lose (H20, H21).
const SPICE_COMPRESSION: &[&str] = &["", "always", "auto", "never"];

/// With what SPICE parameters will have an effect.
const SPICE: &str = "SPICE displays";

/// Parameters that no instance may have of its own, under whatever hypervisor: two nodes must agree
/// on them before either has heard of the instance (surface.md 6.1).
pub const CLUSTER_ONLY: [&str; 3] = ["migration_bandwidth", "migration_mode", "migration_port"];

parameter_set! {
    /// Parameters of the kvm hypervisor (surface.md 6.1).
    KvmParams {
        /// The guest sees ACPI; without it a shutdown cannot be requested.
        acpi: bool = Flag(true), Flag;
        /// What to boot: `disk`, `cdrom`, `floppy` or `network`.
        boot_order: String = Text("disk"), Word(&["cdrom", "disk", "floppy", "network"]);
        /// How disks appear in the guest: `paravirtual` is virtio.
        disk_type: String = Text("paravirtual"), Word(DISK_TYPES);
        /// Initial RAM disk beside `kernel_path`.
        initrd_path: String = Text(""), Path;
        /// Command line of the kernel at `kernel_path`.
        kernel_args: String = Text("ro"), Text;
        /// Kernel on the node to boot; empty boots from `boot_order`.
        kernel_path: String = Text(""), Path;
        /// The QEMU program.
        kvm_path: String = Text("/usr/bin/qemu-system-x86_64"), PathNeeded;
        /// `-machine` of QEMU; empty is QEMU's default.
        machine_version: String = Text(""), Token;
        /// A serial console on a socket.
        serial_console: bool = Flag(true), Flag;

        /// Image in the second CD drive.
        cdrom2_image_path: String = Text(""), PathOrUrl, since 6;
        /// How CD drives appear; nothing: as the disks.
        cdrom_disk_type: String = Text(""), Word(CDROM_TYPES), since 6;
        /// Image in the first CD drive.
        cdrom_image_path: String = Text(""), PathOrUrl, since 6;
        /// Cores of each socket; 0 says nothing.
        cpu_cores: u32 = Number(0), Number(0, 1_024), since 6;
        /// Processors of the node that the virtual ones run on.
        cpu_mask: String = Text("all"), CpuMask, since 6;
        /// Sockets; 0 says nothing.
        cpu_sockets: u32 = Number(0), Number(0, 1_024), since 6;
        /// Threads of each core; 0 says nothing.
        cpu_threads: u32 = Number(0), Number(0, 1_024), since 6;
        /// Model of the processors, such as `host`.
        cpu_type: String = Text(""), Token, since 6;
        /// How QEMU waits for disks.
        disk_aio: String = Text("threads"), Word(&["io_uring", "native", "threads"]), since 6;
        /// Whether the node caches what guests read and write.
        disk_cache: String = Text("default"),
            Word(&["default", "none", "writeback", "writethrough"]), since 6;
        /// Whether what guests discard is given back to the storage.
        disk_discard: String = Text("ignore"), Word(&["default", "ignore", "unmap"]), since 6;
        /// Image in the floppy drive.
        floppy_image_path: String = Text(""), Path, since 6;
        /// Layout of the keyboard of a display.
        keymap: String = Text(""), Token, since 6;
        /// More options of QEMU, as typed in a shell.
        kvm_extra: String = Text(""), Text, since 6;
        /// `enabled` insists on KVM, `disabled` emulates; nothing takes what works.
        kvm_flag: String = Text(""), Word(&["", "disabled", "enabled"]), since 6;
        /// PCI slots that are left to QEMU.
        kvm_pci_reservations: u32 = Number(12), Number(0, 32), since 6, later "hotplug";
        /// Directory of huge pages that the memory comes from.
        mem_path: String = Text(""), Path, since 6;
        /// MiB per second of a migration.
        migration_bandwidth: u32 = Number(32), ANY_NUMBER, since 6, later "live migration";
        /// Abilities of QEMU to be used by a migration, with colons between them.
        migration_caps: String = Text(""), Token, since 6, later "live migration";
        /// Milliseconds for which a migration may stop the guest.
        migration_downtime: u32 = Number(30), ANY_NUMBER, since 6, later "live migration";
        /// Whether a guest goes on while it migrates.
        migration_mode: String = Text("live"), Word(&["live", "non-live"]), since 6,
            later "live migration";
        /// TCP port of incoming migrations.
        migration_port: u32 = Number(8_102), Number(1, 65_534), since 6, later "live migration";
        /// How network cards appear in the guest: `paravirtual` is virtio.
        nic_type: String = Text("paravirtual"), Word(NIC_TYPES), since 6;
        /// `exit`: a guest that reboots ends.
        reboot_behavior: String = Text("reboot"), Word(&["exit", "reboot"]), since 6;
        /// The root file system of the kernel at `kernel_path`.
        root_path: String = Text("/dev/vda1"), Token, since 6;
        /// The controller of SCSI disks.
        scsi_controller_type: String = Text("lsi"),
            Word(&["dc390", "lsi", "megasas", "virtio-scsi-pci"]), since 6;
        /// The user of model `user`.
        security_domain: String = Text(""), Token, since 6;
        /// As whom QEMU runs.
        security_model: String = Text("none"), Word(&["none", "pool", "user"]), since 6;
        /// Bits per second of the serial console.
        serial_speed: u32 = Number(38_400), NumberOf(SERIAL_SPEEDS), since 6;
        /// Sound devices.
        soundhw: String = Text(""), Token, since 6;
        /// Where SPICE listens.
        spice_bind: String = Text(""), Listen, since 6, later SPICE;
        /// Lossless compression of pictures.
        spice_image_compression: String = Text(""),
            Word(&["", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"]), since 6, later SPICE;
        /// 4, 6, or 0 for any.
        spice_ip_version: u32 = Number(0), NumberOf(&[0, 4, 6]), since 6, later SPICE;
        /// JPEG compression on slow links.
        spice_jpeg_wan_compression: String = Text(""), Word(SPICE_COMPRESSION), since 6,
            later SPICE;
        /// File with its password.
        spice_password_file: String = Text(""), Path, since 6, later SPICE;
        /// Compression of sound.
        spice_playback_compression: bool = Flag(true), Flag, since 6, later SPICE;
        /// Detection of films.
        spice_streaming_video: String = Text(""), Word(&["", "all", "filter", "off"]), since 6,
            later SPICE;
        /// Its ciphers, as OpenSSL writes them.
        spice_tls_ciphers: String = Text("HIGH:-DES:-3DES:-EXPORT:-DH"), Token, since 6,
            later SPICE;
        /// TLS with the cluster's certificate.
        spice_use_tls: bool = Flag(false), Flag, since 6, later SPICE;
        /// The agent in the guest.
        spice_use_vdagent: bool = Flag(true), Flag, since 6, later SPICE;
        /// zlib compression on slow links.
        spice_zlib_glz_wan_compression: String = Text(""), Word(SPICE_COMPRESSION), since 6,
            later SPICE;
        /// USB devices, with commas between them.
        usb_devices: String = Text(""), Text, since 6;
        /// The pointer: `mouse` or `tablet`.
        usb_mouse: String = Text(""), Word(&["", "mouse", "tablet"]), since 6;
        /// QEMU in an empty directory.
        use_chroot: bool = Flag(false), Flag, since 6, later "guests in a root of their own";
        /// A channel for the agent in the guest, on a socket.
        use_guest_agent: bool = Flag(false), Flag, since 6;
        /// The guest's clock has the node's local time.
        use_localtime: bool = Flag(false), Flag, since 6;
        /// Whether a guest may be shut down from inside.
        user_shutdown: bool = Flag(false), Flag, since 6,
            later "the watcher, which restarts guests";
        /// The graphics card.
        vga: String = Text(""), Token, since 6;
        /// Virtio network cards are served by the kernel.
        vhost_net: bool = Flag(true), Flag, since 6;
        /// Queues of a virtio network card.
        virtio_net_queues: u32 = Number(1), Number(1, 8), since 6;
        /// Where VNC listens.
        vnc_bind_address: String = Text(""), Listen, since 6;
        /// File with the password of VNC, on the node.
        vnc_password_file: String = Text(""), Path, since 6;
        /// VNC over TLS.
        vnc_tls: bool = Flag(false), Flag, since 6;
        /// Directory with VNC's certificates.
        vnc_x509_path: String = Text(""), Path, since 6;
        /// VNC asks its clients for a certificate.
        vnc_x509_verify: bool = Flag(false), Flag, since 6;
        /// Virtio headers on taps: large segments pass unsplit.
        vnet_hdr: bool = Flag(true), Flag, since 6;
    }
}

parameter_set! {
    /// Parameters of the fake hypervisor.
    FakeParams {
        /// `live` or `non-live`.
        migration_mode: String = Text("live"), Word(&["live", "non-live"]);
    }
}

impl KvmParams {
    /// The parameters that are stored and have no effect yet, with what will give them one.
    pub fn later() -> impl Iterator<Item = (&'static str, &'static str)> {
        Self::SPECS.iter().filter_map(|spec| Some((spec.name, spec.later?)))
    }
}
