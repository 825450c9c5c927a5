//! Reads a portal's own account of itself.

use crate::ops::ending::Ending;
use crate::ops::{Snapshot, View};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// A portal on this machine that takes longer to answer than this is busy with something else; the next question comes soon.
const LIMIT: Duration = Duration::from_millis(700);

/// What `/status` says, as far as it is used here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Status {
    /// What the portal is doing.
    pub view: View,
    /// Its figures.
    pub figures: Snapshot,
    /// How its run before this one ended, if there was one.
    pub last_end: Option<Ending>,
}

/// Asks portals for their status.
#[derive(Clone, Debug)]
pub struct Client(ureq::Agent);

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            // The environment's proxy is not for addresses of this machine.
            .proxy(None)
            .build();
        Self(config.into())
    }
}

impl Client {
    /// The status of the portal whose status pages are at `address`; `None` while it does not answer.
    pub fn status(&self, address: SocketAddr) -> Option<Status> {
        let answer = self.0.get(format!("http://{address}/status")).call();
        match answer.and_then(|mut answer| answer.body_mut().read_json::<Status>()) {
            Ok(status) => Some(status),
            Err(error) => {
                tracing::debug!(%address, %error, "no status");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Figures, LinkState};
    use std::io::{Read, Write};
    use std::time::Instant;

    #[test]
    fn what_a_portal_writes_can_be_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let figures = Figures::default();
        figures.outgoing.captured.add(7);
        let view = View { link: LinkState::Live, ..View::default() };
        let snapshot = figures.snapshot(Instant::now());
        let body = serde_json::json!({"site": "here", "view": view, "figures": snapshot}).to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /status HTTP/1.1\r\n"));
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        });
        let status = Client::default().status(address).unwrap();
        server.join().unwrap();
        assert_eq!(status, Status { view, figures: snapshot, last_end: None });
        assert_eq!(Client::default().status(address), None, "nobody answers any more");
    }
}
