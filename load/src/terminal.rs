//! Log lines on stderr and, if that is a terminal, a status line below them.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use tokio::time::interval;

/// Time between two updates of the status line.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// Moves the cursor to the start of the line and erases the line.
const ERASE: &[u8] = b"\r\x1b[2K";

/// Writes log lines to stderr, each over the status line if there is one.
#[derive(Clone, Copy)]
pub struct Terminal {
    /// Whether stderr is a terminal that can erase a line.
    pub is_interactive: bool,
}

impl Terminal {
    /// The stderr of this process.
    pub fn stderr() -> Self {
        Self { is_interactive: io::stderr().is_terminal() && chassis::has_control_codes() }
    }

    /// Runs a future and, on a terminal, shows its status meanwhile.
    pub(crate) async fn show_while<F: Future>(
        mut self,
        future: F,
        status: impl Fn() -> String,
    ) -> F::Output {
        let (mut future, mut ticks) = (pin!(future), interval(UPDATE_INTERVAL));
        loop {
            tokio::select! {
                output = &mut future => {
                    let _ = self.write(b"");
                    return output;
                }
                _ = ticks.tick(), if self.is_interactive => {
                    let _ = self.write(status().as_bytes());
                }
            }
        }
    }
}

impl Write for Terminal {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if self.is_interactive {
            stderr.write_all(ERASE)?;
        }
        stderr.write_all(text)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
