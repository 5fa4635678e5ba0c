//! Limits on the resources that clients may use.

use std::{num::NonZero, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections at once unless a setting says otherwise: with all of them busy, rng and hasher stay
/// below the memory limit of their manifests.
const MAX_CONNECTIONS: usize = 1024;

/// Connections at once to the admin port.
const ADMIN_CONNECTIONS: usize = 256;

/// Files besides the connections of a service: those of the admin port, above all.
const RESERVED_FILES: usize = ADMIN_CONNECTIONS + 64;

/// The highest limit of open files that macOS accepts: its `OPEN_MAX`.
const MACOS_FILES: u64 = 10_240;

/// Bounds on connections, times and sizes. None of them ends a request that waits for its response.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, and HTTP/2 requests in flight over all of them. Further connections
    /// wait in the kernel's queue; further requests get status 503.
    pub connections: usize,
    /// From accepting a connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte to the end of a request's header, and from the end of a response to that
    /// of the next request's header.
    pub header: Duration,
    /// The size of a request's header, in bytes.
    pub header_bytes: usize,
    /// How long a response may wait for the client to read.
    pub stalled_write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS.min(spare_files()),
            first_byte: Duration::from_secs(30),
            // Longer than proxies keep idle connections, so that the service does not close first.
            header: Duration::from_secs(75),
            header_bytes: 64 * 1024,
            stalled_write: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The default limits for this number of connections, or as many as the process may have files.
    pub fn with_connections(connections: NonZero<u16>) -> Self {
        let connections = usize::from(connections.get()).min(spare_files());
        Self { connections, ..Self::default() }
    }

    /// The limits of the admin port: times so short that silent clients cannot keep a probe
    /// waiting.
    pub(crate) fn admin() -> Self {
        Self {
            connections: ADMIN_CONNECTIONS,
            first_byte: Duration::from_secs(1),
            header: Duration::from_secs(5),
            stalled_write: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// The default limits of one of several servers that share the open files of a process with the
    /// clients of all of them.
    pub fn shared_by(servers: usize) -> Self {
        let files_of_each = spare_files() / (2 * servers.max(1));
        Self { connections: MAX_CONNECTIONS.min(files_of_each.max(1)), ..Self::default() }
    }
}

/// Lets the process open as many files as the host allows.
pub(crate) fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = match cfg!(target_os = "macos") {
        true => current.max(Some(maximum.map_or(MACOS_FILES, |maximum| maximum.min(MACOS_FILES)))),
        false => maximum,
    };
    // Ignores errors: with fewer files, the service only has fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// Files of the process that can be connections.
fn spare_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let files = limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files - RESERVED_FILES.min(files / 2)
}
