//! Where clients come from: a TCP port or a Unix socket, bound here or handed over by systemd.
//!
//! Why no `SO_REUSEPORT` for a restart? Each of the two processes would have a backlog of its own,
//! and what waits in that of the old one is reset when it closes. A socket that is handed over has
//! one backlog, which outlives every process.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use listenfd::ListenFd;
use poem::Addr;
use tokio::net::{TcpListener, UnixListener};

use crate::settings::Bind;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Whether the socket outlives this process, so that nobody who connects later is lost.
    pub(super) is_inherited: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client who has connected, and is not yet watched by the runtime of any thread.
pub(super) enum Client {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// The socket of systemd's protocol (`LISTEN_FDS`), if there is one.
    pub fn inherited() -> io::Result<Option<Self>> {
        let mut handed = ListenFd::from_env();
        match handed.len() {
            0 => return Ok(None),
            1 => {}
            _ => return Err(io::Error::other("more than one socket was handed over")),
        }
        // Each asks for the socket's kind, and leaves one of another kind where it is.
        let socket = if let Ok(Some(tcp)) = handed.take_tcp_listener(0) {
            tcp.set_nonblocking(true)?;
            Socket::Tcp(TcpListener::from_std(tcp)?)
        } else {
            let unix = handed.take_unix_listener(0)?;
            let unix = unix.ok_or_else(|| io::Error::other("the socket handed over is gone"))?;
            unix.set_nonblocking(true)?;
            Socket::Unix(UnixListener::from_std(unix)?)
        };
        Ok(Some(Self { socket, is_inherited: true }))
    }

    /// A socket of this process's own.
    pub async fn bind(bind: &Bind) -> io::Result<Self> {
        let socket = match bind {
            Bind::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await?),
            Bind::Unix(path) => Socket::Unix(bind_unix(path)?),
        };
        Ok(Self { socket, is_inherited: false })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => listener.local_addr()?.into(),
            Socket::Unix(listener) => listener.local_addr()?.into(),
        })
    }

    /// Closes it, but for one that is inherited, after those who had connected by then.
    pub(super) fn close(self) -> impl Iterator<Item = Client> {
        let waiting = (!self.is_inherited).then(|| self.socket.into_std().ok()).flatten();
        std::iter::from_fn(move || waiting.as_ref()?.accept())
    }

    pub(super) async fn accept(&self) -> io::Result<Client> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                // Fails only for a socket that is closed already, which the next read tells.
                let _ = socket.set_nodelay(true);
                Client::Tcp(socket.into_std()?, address)
            }
            Socket::Unix(listener) => Client::Unix(listener.accept().await?.0.into_std()?),
        })
    }
}

/// A listening socket that the runtime does not watch any more, which asks the kernel itself.
enum Unwatched {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Socket {
    fn into_std(self) -> io::Result<Unwatched> {
        Ok(match self {
            Self::Tcp(listener) => Unwatched::Tcp(listener.into_std()?),
            Self::Unix(listener) => Unwatched::Unix(listener.into_std()?),
        })
    }
}

impl Unwatched {
    /// Who waits, if anybody does.
    fn accept(&self) -> Option<Client> {
        Some(match self {
            Self::Tcp(listener) => {
                let (socket, address) = listener.accept().ok()?;
                let _ = socket.set_nodelay(true);
                socket.set_nonblocking(true).ok()?;
                Client::Tcp(socket, address)
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().ok()?;
                socket.set_nonblocking(true).ok()?;
                Client::Unix(socket)
            }
        })
    }
}

/// A socket's file stays behind when its process ends: one that nobody listens on is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bound = UnixListener::bind(path);
    let is_in_use = matches!(&bound, Err(error) if error.kind() == ErrorKind::AddrInUse);
    let is_socket = || path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
    let is_left = || {
        let answer = UnixStream::connect(path);
        answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    if is_in_use && is_socket() && is_left() {
        std::fs::remove_file(path)?;
        return UnixListener::bind(path);
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the second of two answers waits for the client's acknowledgement of the first one.
    #[tokio::test]
    async fn an_answer_leaves_at_once() {
        let listener = Listener::bind(&Bind::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let address = *listener.local_addr().unwrap().as_socket_addr().unwrap();
        let connect = || TcpStream::connect(address).unwrap();
        let (_first, accepted) = (connect(), listener.accept().await.unwrap());
        let (_second, mut waiting) = (connect(), listener.close());
        for client in [accepted, waiting.next().unwrap()] {
            let Client::Tcp(socket, _) = client else { panic!("it is no TCP socket") };
            assert!(socket.nodelay().unwrap());
        }
    }
}
