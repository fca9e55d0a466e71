//! A running Django site, asked over HTTP/1.1: one connection a question, every wait and size bounded.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::Url;

use super::exchange::{Answer, Host};
use super::questions::Question;

/// For one answer, from the connection to its last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a body; the answers that are compared have a few hundred, a debug page some 100 KiB.
const MAX_BODY: usize = 1024 * 1024;

type Fault = Box<dyn Error + Send + Sync>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How it is reached.
#[derive(Debug, Clone)]
enum Address {
    Tcp { name: String, port: u16, is_https: bool },
    Unix(PathBuf),
}

/// A site by the value of `--against`.
#[derive(Debug, Clone)]
pub struct Site {
    shown: String,
    address: Address,
    /// What a `Host` header says by itself.
    pub(super) authority: String,
    /// What stands before each path, and the proxy there takes away; without a slash at its end.
    pub(super) prefix: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Site {
    /// `http://HOST[:PORT][/PREFIX]`, the same with `https`, or `unix:PATH`; the error is the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.trim_end_matches('/').to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            let address = Address::Unix(PathBuf::from(path));
            return Ok(Self {
                shown,
                address,
                authority: "localhost".to_owned(),
                prefix: String::new(),
            });
        }
        let url = Url::parse(text).map_err(|error| format!("{error}; write http://host:port"))?;
        let is_https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("write http://host:port, https://host or unix:PATH".to_owned()),
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err("write it without a user, a query and a fragment".to_owned());
        }
        let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("name a host: http://host:port".to_owned());
        };
        let authority = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { shown, address: Address::Tcp { name, port, is_https }, authority, prefix })
    }

    /// Whether it is asked over https, so that a proxy in front of Django tells it so.
    pub(super) fn is_https(&self) -> bool {
        matches!(self.address, Address::Tcp { is_https: true, .. })
    }

    /// Its answer; the error says why there is none.
    pub(super) async fn ask(&self, question: &Question, host: &Host) -> Result<Answer, Fault> {
        let answer = async {
            let stream = self.connect().await?;
            self.exchange(stream, question, host).await
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| format!("no answer within {} seconds", PATIENCE.as_secs()))?
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Fault> {
        let (name, port, is_https) = match &self.address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp { name, port, is_https } => (name.clone(), *port, *is_https),
        };
        let stream = TcpStream::connect((name.as_str(), port)).await?;
        if !is_https {
            return Ok(Box::new(stream));
        }
        let connector = TlsConnector::from(Arc::new(tls()?));
        let stream = connector.connect(ServerName::try_from(name)?, stream).await;
        let refused = |error: io::Error| format!("TLS failed: {error}");
        Ok(Box::new(stream.map_err(refused)?))
    }

    async fn exchange(
        &self,
        stream: Box<dyn Stream>,
        question: &Question,
        host: &Host,
    ) -> Result<Answer, Fault> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, or when the sender is dropped.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(format!("{}{}", self.prefix, question.target));
        for (name, value) in question.headers(host) {
            request = request.header(name, value);
        }
        let request = request
            .header(header::CONNECTION, HeaderValue::from_static("close"))
            .body(Full::new(Bytes::from(question.body.clone())))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Trusts whom this machine trusts.
fn tls() -> Result<ClientConfig, Fault> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this machine has no trusted certificates: install ca-certificates, or set SSL_CERT_FILE".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error and what is behind it, in one line.
pub(super) fn told(error: &Fault) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        source = error.source();
    }
    text
}
