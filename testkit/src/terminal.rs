//! A pseudoterminal that receives what a program writes.

use std::{
    fs::File,
    io::Read,
    thread::{self, JoinHandle},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Collects what a program writes to a terminal.
pub struct Terminal(JoinHandle<Vec<u8>>);

impl Terminal {
    /// Opens a terminal. The file is the program's end, for its stdout or stderr.
    pub fn open() -> (Self, File) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let program = File::options().read(true).write(true).open(name).unwrap();
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            // Reading fails when the program has ended.
            let _ = File::from(terminal).read_to_end(&mut received);
            received
        });
        (Self(reader), program)
    }

    /// Waits until every copy of the program's end is closed, and returns what was written to it.
    pub fn received(self) -> String {
        String::from_utf8_lossy(&self.0.join().unwrap()).into_owned()
    }
}
