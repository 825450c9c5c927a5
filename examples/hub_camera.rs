//! A camera at a hub, without the pictures: enters a room, and shows where an offer is made for each viewer.
//!
//! `cargo run --release --no-default-features --example hub_camera -- ws://127.0.0.1:7415/ hall door`, and after them a token where the hub asks
//! for one.
//!
//! The other end is `hub_viewer`, or the hub's own page.

use screen_portal::hub::client::{Client, Event, Options};
use screen_portal::hub::message::{Candidate, Content, Description, DescriptionKind, FromHub, Join, ToHub};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:7415/".into());
    let room = arguments.next().unwrap_or_else(|| "hall".into());
    let camera_id = arguments.next().unwrap_or_else(|| "door".into());
    let join = Join { room, device_type: Some("camera".into()), camera_id: Some(camera_id), token: arguments.next() };
    // Stays connected from here on: a hub that goes away is called again, and the room entered again.
    let mut client = Client::start(Options { url, join: Some(join), ..Options::default() })?;
    loop {
        match client.next().await {
            Event::Message(FromHub::Joined { room, client_id, .. }) => println!("in room {room} as {client_id}"),
            Event::Message(FromHub::ViewerRequest { viewer_id, .. }) => {
                println!("{viewer_id} wants to look");
                // Here a peer connection is made, with the camera's track in it; this is its description, and one of its candidates.
                let sdp = Description { kind: DescriptionKind::Offer, sdp: "v=0\r\n".into() };
                client.say(ToHub::Relay { target: viewer_id, content: Content::Offer { sdp } }).await;
                let candidate = Candidate {
                    candidate: "candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host".into(),
                    sdp_mid: Some("0".into()),
                    sdp_m_line_index: Some(0),
                    username_fragment: None,
                };
                let content = Content::IceCandidate { candidate: Some(candidate) };
                client.say(ToHub::Relay { target: viewer_id, content }).await;
            }
            Event::Message(FromHub::Relayed { sender, content: Content::Answer { .. } }) => {
                println!("{sender} answers: pictures can flow");
            }
            Event::Message(FromHub::ClientDisconnected { client_id }) => println!("{client_id} has left"),
            Event::Message(FromHub::Error { message, .. }) => println!("the hub says: {message}"),
            Event::Message(_) => {}
            Event::Lost { reason } => println!("the hub is not there ({reason}); trying again"),
        }
    }
}
