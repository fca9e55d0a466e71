//! What gunicorn refuses before Django sees it, because a proxy may have read the same bytes in another way.
//!
//! Why look at raw bytes when hyper has parsed them? It keeps of a repeated `Content-Length` the first, drops it beside
//! `Transfer-Encoding`, and takes a bare LF for a line's end: afterwards nothing of it can be seen.

use memchr::{memchr, memchr_iter};
use zeroize::{Zeroize, Zeroizing};

/// The bytes that a connection received and hyper has not answered yet.
#[derive(Default)]
pub(super) struct Heads {
    unread: Vec<u8>,
    body_left: u64,
    /// After a chunked body nobody knows here where the next head begins; the connection ends with it.
    untracked: bool,
}

impl Heads {
    /// Takes note of bytes from the socket.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if !self.untracked {
            let bytes = self.skip_body(bytes);
            self.unread.extend_from_slice(bytes);
        }
    }

    /// Whether a head has begun.
    pub(super) fn has_begun(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Takes the head that hyper has just parsed, whose body is `body` bytes long; `None` is a chunked one.
    /// Whether the head is acceptable is the answer.
    pub(super) fn take(&mut self, body: Option<u64>) -> bool {
        let Some(end) = end_of_head(&self.unread).filter(|_| !self.untracked) else {
            return false;
        };
        let acceptable = self.unread.get(..end).is_some_and(is_acceptable);
        let rest = Zeroizing::new(self.unread.split_off(end));
        if body == Some(0) {
            self.unread.clear();
        } else {
            // The body's first bytes came with the head, and are still behind it.
            self.unread.zeroize();
        }
        self.body_left = body.unwrap_or(0);
        self.untracked = body.is_none();
        self.received(&rest);
        acceptable
    }

    /// What is left of the bytes after the body that they belong to.
    fn skip_body<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.body_left).map_or(bytes.len(), |n| n.min(bytes.len()));
        self.body_left = self.body_left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        bytes.get(length..).unwrap_or_default()
    }
}

/// Where the first empty line ends, after those before the request line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let after = bytes.get(begin..)?;
    let mut ends = memchr_iter(b'\n', after).map(|at| at + 1);
    let end = ends.find(|end| after.get(..*end).is_some_and(|head| head.ends_with(b"\r\n\r\n")));
    end.map(|end| begin + end)
}

/// A request head that two servers cannot read in two ways, with a request line that gunicorn would pass on.
fn is_acceptable(head: &[u8]) -> bool {
    let mut lines = lines(head.trim_ascii());
    let request_line = lines.next().unwrap_or_default();
    !has_bare_newline(head) && is_request_line(request_line.trim_ascii_end()) && is_framed(lines)
}

/// What stands between the newlines.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    memchr_iter(b'\n', head).chain([head.len()]).map(move |end| {
        let line = head.get(begin..end).unwrap_or_default();
        begin = end + 1;
        line
    })
}

fn has_bare_newline(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|at| !head.get(..at).is_some_and(|line| line.ends_with(b"\r")))
}

/// `gunicorn.http.message.Request.parse_request_line`.
fn is_request_line(line: &[u8]) -> bool {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let method = fields.next().unwrap_or_default();
    let target = fields.next().unwrap_or_default();
    let has_form = match method {
        b"CONNECT" => true,
        b"OPTIONS" if target == b"*" => true,
        _ => target.starts_with(b"/") || target.windows(3).any(|three| three == b"://"),
    };
    (3..=20).contains(&method.len())
        && !method.iter().any(|byte| byte.is_ascii_lowercase() || *byte == b'#')
        && target.iter().all(u8::is_ascii_graphic)
        && has_form
}

/// None of the fields that say where a message ends or whom it is for stands twice, and no coding is under the chunks:
/// nginx refuses each but `chunked`, gunicorn some, and hyper reads on.
fn is_framed<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut host, mut kind, mut length, mut coding) = (0, 0, 0, 0);
    for line in lines {
        let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        for (counted, number) in [
            (&b"host"[..], &mut host),
            (b"content-type", &mut kind),
            (b"content-length", &mut length),
            (b"transfer-encoding", &mut coding),
        ] {
            *number += usize::from(name.eq_ignore_ascii_case(counted));
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") && !is_chunked(value) {
            return false;
        }
    }
    host <= 1 && kind <= 1 && length + coding <= 1
}

/// Whether what stands behind a name is the one coding that there is.
fn is_chunked(value: &[u8]) -> bool {
    let value = value.strip_prefix(b":").unwrap_or(value);
    value.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(head: &str) -> bool {
        let mut heads = Heads::default();
        heads.received(head.as_bytes());
        heads.take(Some(0))
    }

    #[test]
    fn ordinary_heads_are_acceptable() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "\r\nGET /secret/ HTTP/1.0\r\nHost: a\r\nAuthorization: Token a\r\nAuthorization: b\r\n\r\n",
            "POST /x HTTP/1.1\r\nHost:a\r\nContent-Length: 3\r\nContent-Type: a/b\r\n\r\na\nb",
            "POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST /x HTTP/1.1\r\nTransfer-Encoding:\tCHUNKED \r\n\r\n",
            "GET http://other/secret/ HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Empty:\r\n\r\n",
        ] {
            assert!(take(head), "{head:?}");
        }
    }

    #[test]
    fn what_gunicorn_refuses_is_refused() {
        for head in [
            "get / HTTP/1.1\r\n\r\n",
            "GE / HTTP/1.1\r\n\r\n",
            "G#T / HTTP/1.1\r\n\r\n",
            "ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\n\r\n",
            "GET * HTTP/1.1\r\n\r\n",
            "GET secret/ HTTP/1.1\r\n\r\n",
            "GET /é HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Type: a\r\nContent-Type: a\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\nbody\r\n\r\n",
            "",
        ] {
            assert!(!take(head), "{head:?}");
        }
    }

    #[test]
    fn a_body_is_no_part_of_the_next_head() {
        let mut heads = Heads::default();
        heads.received(b"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\n\n\nab");
        assert!(heads.take(Some(8)));
        heads.received(b"\n\n");
        assert!(!heads.has_begun());
        heads.received(b"\n\nGET / HT");
        assert!(heads.has_begun());
        heads.received(b"TP/1.1\r\n\r\n");
        assert!(heads.take(Some(0)));
        assert!(!heads.has_begun());
    }

    #[test]
    fn pipelined_heads_are_taken_one_by_one() {
        let mut heads = Heads::default();
        heads.received(b"GET / HTTP/1.1\r\n\r\nget / HTTP/1.1\r\n\r\n");
        assert!(heads.take(Some(0)));
        assert!(!heads.take(Some(0)));
    }

    #[test]
    fn after_a_chunked_body_no_head_is_acceptable() {
        let mut heads = Heads::default();
        heads.received(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(heads.take(None));
        assert!(!heads.take(Some(0)));
    }
}
