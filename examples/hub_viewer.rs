//! A viewer at a hub, without the pictures: enters a room and asks each camera in it for its pictures.
//!
//! `cargo run --release --no-default-features --example hub_viewer -- ws://127.0.0.1:7415/ hall`, and after them a token where the hub asks for one.
//!
//! The other end is `hub_camera`, or the hub's own page.

use screen_portal::hub::client::{Client, Event, Options};
use screen_portal::hub::message::{Content, Description, DescriptionKind, FromHub, Join, ToHub};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:7415/".into());
    let room = arguments.next().unwrap_or_else(|| "hall".into());
    let join = Join { room, device_type: Some("viewer".into()), token: arguments.next(), ..Join::default() };
    let mut client = Client::start(Options { url, join: Some(join), ..Options::default() })?;
    loop {
        match client.next().await {
            Event::Message(FromHub::Joined { room, client_id, .. }) => println!("in room {room} as {client_id}"),
            // Told of each camera that is there, and of each that comes.
            Event::Message(FromHub::CameraAvailable { camera_id, .. }) => {
                println!("camera {camera_id} is there");
                client.say(ToHub::RequestStream { camera_id }).await;
            }
            Event::Message(FromHub::Relayed { sender, content: Content::Offer { .. } }) => {
                println!("{sender} offers its pictures");
                // Here a peer connection takes the offer; this is its answer.
                let sdp = Description { kind: DescriptionKind::Answer, sdp: "v=0\r\n".into() };
                client.say(ToHub::Relay { target: sender, content: Content::Answer { sdp } }).await;
            }
            Event::Message(FromHub::Relayed {
                sender,
                content: Content::IceCandidate { candidate: Some(candidate) },
            }) => {
                println!("{sender} can be reached at {}", candidate.candidate);
            }
            Event::Message(FromHub::CameraUnavailable { camera_id }) => println!("camera {camera_id} has left"),
            Event::Message(FromHub::CameraNotFound { camera_id }) => println!("there is no camera {camera_id}"),
            Event::Message(FromHub::Error { message, .. }) => println!("the hub says: {message}"),
            Event::Message(_) => {}
            Event::Lost { reason } => println!("the hub is not there ({reason}); trying again"),
        }
    }
}
