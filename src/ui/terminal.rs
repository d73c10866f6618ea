//! The user's own terminal, handed over to a program elsewhere: keys as they are pressed, and its size.

use std::io::{self, Read as _, stdin, stdout};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc::{Receiver, channel};

/// The terminal passes every key on, Ctrl-C too, and shows nothing by itself; until dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Switches it.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // If it cannot be switched back, nothing that could be said here would be readable.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Rows and columns, where standard output is a terminal.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What comes in on standard input, as it comes; ends where it ends. The thread that reads lives as long as the
/// process: a read from a terminal cannot be taken back.
pub fn typed() -> Receiver<Vec<u8>> {
    let (send, receive) = channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match stdin().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if send.blocking_send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receive
}
