//! The path in use, out of what the library says of the selected pair of candidates.

use super::server::Reach;
use crate::ops::{CandidateKind, Path, Transport};
use rtc::peer_connection::transport::{RTCIceCandidate, RTCIceCandidatePair, RTCIceCandidateType, RTCIceProtocol};

/// `remote` are all of the far end's candidates; `relay` is how our relay is reached, if the path begins at one.
pub(in crate::link) fn path(pair: &RTCIceCandidatePair, remote: &[RTCIceCandidate], relay: Option<Reach>) -> Path {
    let transport = match (relay, pair.local().protocol) {
        (Some(Reach::TurnTls), _) => Transport::Tls,
        (Some(Reach::TurnTcp), _) | (None, RTCIceProtocol::Tcp) => Transport::Tcp,
        _ => Transport::Udp,
    };
    // An address that showed itself before the far end told us what it is.
    let far = pair.remote();
    let same = |other: &&RTCIceCandidate| (&other.address, other.port) == (&far.address, far.port);
    let told = remote.iter().filter(same).find(|other| other.typ != RTCIceCandidateType::Prflx);
    Path { local: kind(pair.local().typ), remote: kind(told.unwrap_or(far).typ), transport }
}

fn kind(typ: RTCIceCandidateType) -> CandidateKind {
    match typ {
        RTCIceCandidateType::Srflx => CandidateKind::ServerReflexive,
        RTCIceCandidateType::Prflx => CandidateKind::PeerReflexive,
        RTCIceCandidateType::Relay => CandidateKind::Relayed,
        _ => CandidateKind::Host,
    }
}
