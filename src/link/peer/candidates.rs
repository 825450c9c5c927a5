//! A connection's candidates, ours and the far end's, and the path that ICE has chosen of them.

use super::Peer;
use crate::link::ice::server::Reach;
use crate::link::ice::{Ice, path, trickle};
use crate::ops;
use rtc::peer_connection::transport::{RTCIceCandidate, RTCIceCandidateInit};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use webrtc::peer_connection::RTCPeerConnectionIceEvent;

/// What is known of the candidates of one connection.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    gathered: Mutex<trickle::Gathered>,
    /// How many of the far end's were taken one by one.
    taken: AtomicUsize,
    /// Our relayed addresses, and how their servers are reached.
    relays: Mutex<Vec<(String, Reach)>>,
}

impl Candidates {
    /// This description is about to be sent.
    pub fn described(&self, sdp: &str) {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).described(sdp);
    }

    /// A candidate of ours was found. It is given back if the far end is to be told now.
    pub fn found(&self, ice: &Ice, event: &RTCPeerConnectionIceEvent) -> Option<String> {
        if let Some(server) = ice.server_of(&event.url) {
            let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
            relays.push((address(&event.candidate), server.reach));
        }
        let candidate = event.candidate.to_json().ok()?.candidate;
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).found(candidate)
    }
}

impl Peer {
    /// The library connects to TCP candidates that are added one by one, not to those of a description.
    pub(super) async fn connect_tcp(&self, sdp: &str) {
        if self.shared.setup.config.ice_tcp {
            for candidate in trickle::candidates(sdp).filter(|candidate| candidate.contains(" tcptype passive")) {
                self.add_candidate(candidate.to_owned()).await;
            }
        }
    }

    /// Takes another way to reach the far end. What cannot be used is left out: others may do.
    pub async fn add_candidate(&self, candidate: String) {
        if self.shared.candidates.taken.fetch_add(1, Ordering::Relaxed) >= trickle::MOST_TAKEN {
            return self.shared.setup.figures.link.rejected_messages.one();
        }
        let candidate = RTCIceCandidateInit { candidate, sdp_mline_index: Some(0), ..Default::default() };
        if let Err(error) = self.connection.add_ice_candidate(candidate).await {
            tracing::debug!(connection = self.shared.id, %error, "a candidate of the far end cannot be used");
        }
    }

    /// Our description was sent: what was found since can be sent too, and from now on comes as [`super::Event::Candidate`].
    pub fn release_candidates(&self) -> Vec<String> {
        self.shared.candidates.gathered.lock().unwrap_or_else(PoisonError::into_inner).release()
    }

    /// The way that packets take, once there is one.
    pub async fn ways(&self) -> Option<ops::Path> {
        let ice = self.sender.transport().await.ok()??.ice_transport();
        let pair = ice.get_selected_candidate_pair().await.ok()??;
        let remote = ice.get_remote_candidates().await.unwrap_or_default();
        let relays = self.shared.candidates.relays.lock().unwrap_or_else(PoisonError::into_inner);
        let here = address(pair.local());
        let relay = relays.iter().find(|(relayed, _)| *relayed == here).map(|(_, reach)| *reach);
        Some(path::path(&pair, &remote, relay))
    }

    /// The address of ours that packets leave from, once there is a path.
    pub async fn local_address(&self) -> Option<IpAddr> {
        let ice = self.sender.transport().await.ok()??.ice_transport();
        let pair = ice.get_selected_candidate_pair().await.ok()??;
        let local = pair.local();
        // Behind what a STUN or TURN server gave us is an address of this machine.
        let address = if local.related_address.is_empty() { &local.address } else { &local.related_address };
        address.parse().ok()
    }
}

fn address(candidate: &RTCIceCandidate) -> String {
    format!("{} {}", candidate.address, candidate.port)
}
