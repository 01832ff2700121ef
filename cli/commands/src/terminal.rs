//! The terminal in raw mode, for consoles.

use std::io;
use std::os::fd::AsFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// A terminal that can pass keys on as they are typed.
pub trait Terminal: Send + Sync {
    /// Switches to raw mode until the guard is dropped.
    ///
    /// # Errors
    /// When stdin is no terminal.
    fn raw(&self) -> io::Result<Box<dyn Send>>;
}

/// The terminal at stdin.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTerminal;

/// Puts the old settings back.
struct Restore(Termios);

impl Terminal for RealTerminal {
    fn raw(&self) -> io::Result<Box<dyn Send>> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Box::new(Restore(before)))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // The terminal may be gone by now; then nobody needs its settings.
        if let Err(error) = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &self.0) {
            tracing::debug!(%error, "terminal settings not put back");
        }
    }
}
