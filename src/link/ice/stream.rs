//! A connection to a TURN server over TCP or TLS.

use super::Error;
use super::server::{Reach, Server};
use crate::files;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// What the kernel holds of what was sent and not yet acknowledged. Enough for 2.5 Mb/s at a round trip of 400 ms; its own limit is
/// megabytes, which would be minutes of delay on a narrow path.
const IN_FLIGHT_BYTES: usize = 128 * 1024;
/// What the kernel holds of what was not sent yet. The rest waits with us, where it can be dropped.
const UNSENT_BYTES: u32 = 16 * 1024;
/// A peer that takes nothing for so long is gone. The link has noticed long before; this ends the task that writes.
pub(super) const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

/// A stream of either sort.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How TURN servers prove who they are.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tls")
    }
}

impl Tls {
    /// Trusts the certificates in this PEM file, or the system's if none is named.
    pub fn new(file: &Path) -> Result<Self, Error> {
        let failed = |problem: String| Error::Certificates(problem);
        let mut roots = RootCertStore::empty();
        if file.as_os_str().is_empty() {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(failed(
                    "this system trusts no certificates, so turns: servers cannot be checked: install ca-certificates, or name \
                     your server's certificate in [link] ice_ca_file"
                        .into(),
                ));
            }
        } else {
            let unreadable = |error: &dyn fmt::Display| {
                failed(format!("[link] ice_ca_file {}: {error}; it must be PEM", file.display()))
            };
            let pem = files::read(file, files::LARGEST_PEM).map_err(|error| unreadable(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"no certificate in it"));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Connects, from this local address if one is given. Takes as long as TCP does: the caller sets a limit.
pub(crate) async fn connect(
    server: &Server,
    address: SocketAddr,
    from: Option<IpAddr>,
    tls: Option<&Tls>,
) -> io::Result<Box<dyn Stream>> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(address).await?;
    tune(&stream);
    if server.reach != Reach::TurnTls {
        return Ok(Box::new(stream));
    }
    let Some(Tls(connector)) = tls else { return Err(io::Error::other("TLS is not prepared")) };
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Sets what makes TCP bearable for pictures. A kernel that knows an option not is no reason to fail.
pub(super) fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    for result in [
        stream.set_nodelay(true),
        socket.set_send_buffer_size(IN_FLIGHT_BYTES),
        socket.set_tcp_notsent_lowat(UNSENT_BYTES),
    ] {
        if let Err(error) = result {
            tracing::debug!(%error, "a TCP option keeps its default");
        }
    }
}
