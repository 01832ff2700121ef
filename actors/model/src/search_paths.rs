//! Where programs and definitions of operators are looked for, in this order.
//!
//! They are Ganeti's own directories, so that what is installed for it is found. Whoever looks for
//! something does it in these directories; `cluster info` shows them.

/// OS definitions, a directory each (X70).
pub const OS_SEARCH_PATH: [&str; 4] =
    ["/srv/ganeti/os", "/usr/local/lib/ganeti/os", "/usr/lib/ganeti/os", "/usr/share/ganeti/os"];

/// Providers of external storage, a directory each (X85).
pub const EXTSTORAGE_SEARCH_PATH: [&str; 4] = [
    "/srv/ganeti/extstorage",
    "/usr/local/lib/ganeti/extstorage",
    "/usr/lib/ganeti/extstorage",
    "/usr/share/ganeti/extstorage",
];
