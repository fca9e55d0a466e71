//! `input` and `getpass` of Python, and the two streams of a command.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::CommandError;

/// Who answers a command's questions. Tests answer from a script.
pub(super) trait Console {
    /// `stdin.isatty()`.
    fn is_terminal(&self) -> bool;

    /// One line, without its end. The end of the input and Ctrl-C cancel the command.
    fn input(&mut self, prompt: &str) -> impl Future<Output = Result<String, CommandError>>;

    /// One line that is not shown, asked and read at the terminal even if the standard streams
    /// are not one.
    fn getpass(
        &mut self,
        prompt: &str,
    ) -> impl Future<Output = Result<Zeroizing<String>, CommandError>>;

    /// A line on standard output.
    fn stdout(&mut self, line: &str);

    /// A line on standard error.
    fn stderr(&mut self, line: &str);
}

/// The terminal of the process.
pub(super) struct Terminal<'a, W> {
    interrupt: Signal,
    out: &'a mut W,
}

impl<'a, W: Write> Terminal<'a, W> {
    /// Takes Ctrl-C over from here on: unhandled, it would end the process while the terminal
    /// is in the mode in which a password is read, and leave it there.
    pub(super) fn new(out: &'a mut W) -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, out })
    }
}

impl<W: Write> Console for Terminal<'_, W> {
    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    async fn input(&mut self, prompt: &str) -> Result<String, CommandError> {
        print(self.out, prompt);
        let line = on_thread(|| io::stdin().lines().next());
        tokio::select! {
            line = line => line?.ok_or_else(cancelled)?.map_err(|error| {
                CommandError::new(format_args!("The input cannot be read: {error}"))
            }),
            _ = self.interrupt.recv() => Err(cancelled()),
        }
    }

    async fn getpass(&mut self, prompt: &str) -> Result<Zeroizing<String>, CommandError> {
        let no_terminal = |error: io::Error| {
            let text = format!("No password can be asked for without a terminal: {error}");
            CommandError::new(text)
        };
        // Dropped at the end of this function, whatever ends it.
        let hidden = Hidden::new().map_err(no_terminal)?;
        let tty = hidden.tty.try_clone().map_err(no_terminal)?;
        print(&mut &hidden.tty, prompt);
        let line = on_thread(|| BufReader::new(tty).lines().next());
        let password = tokio::select! {
            line = line => line?.ok_or_else(cancelled)?.map_err(no_terminal)?,
            _ = self.interrupt.recv() => return Err(cancelled()),
        };
        // The line end that was typed is not shown either.
        print(&mut &hidden.tty, "\n");
        Ok(Zeroizing::new(password))
    }

    fn stdout(&mut self, line: &str) {
        print(self.out, &format!("{line}\n"));
    }

    fn stderr(&mut self, line: &str) {
        print(&mut io::stderr(), &format!("{line}\n"));
    }
}

/// The process's terminal while it does not echo.
///
/// Why not a crate? The one at hand writes its prompt first and turns the echo off then, so that
/// what is typed at once is shown. Python's `getpass` does it the other way round.
struct Hidden {
    tty: File,
    before: Termios,
}

impl Hidden {
    /// Turns the echo off, and forgets what was typed before.
    fn new() -> io::Result<Self> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&tty)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}

/// Reads on a thread of its own. The runtime would wait for one of its blocking threads at the
/// end of the process, and this one may never return.
async fn on_thread<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CommandError> {
    let (answer, result) = oneshot::channel();
    thread::spawn(move || answer.send(read()));
    result.await.map_err(|_| cancelled())
}

/// The line that a prompt began ends first.
fn cancelled() -> CommandError {
    CommandError { message: "\nOperation cancelled.".to_owned(), exit_code: 1 }
}

/// Nobody is left to tell when a stream is closed.
fn print(stream: &mut impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers from a script, and keeps what was said: prompts and lines of both streams.
    pub(in super::super) struct Script {
        answers: VecDeque<&'static str>,
        pub(in super::super) said: Vec<String>,
        pub(in super::super) is_terminal: bool,
    }

    impl Script {
        pub(in super::super) fn new(answers: &[&'static str]) -> Self {
            let answers = answers.iter().copied().collect();
            Self { answers, said: Vec::new(), is_terminal: true }
        }

        fn answer(&mut self, prompt: &str) -> Result<String, CommandError> {
            self.said.push(prompt.to_owned());
            self.answers.pop_front().map(str::to_owned).ok_or_else(cancelled)
        }
    }

    impl Console for Script {
        fn is_terminal(&self) -> bool {
            self.is_terminal
        }

        async fn input(&mut self, prompt: &str) -> Result<String, CommandError> {
            self.answer(prompt)
        }

        async fn getpass(&mut self, prompt: &str) -> Result<Zeroizing<String>, CommandError> {
            self.answer(prompt).map(Zeroizing::new)
        }

        fn stdout(&mut self, line: &str) {
            self.said.push(format!("out: {line}"));
        }

        fn stderr(&mut self, line: &str) {
            self.said.push(format!("err: {line}"));
        }
    }
}
