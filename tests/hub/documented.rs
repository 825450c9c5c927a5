//! The documentation's tables against the types.

use screen_portal::hub::message::{Code, FromHub, ToHub};
use serde_json::Value;

/// Every message of the documentation's tables is one, and none is missing.
#[test]
fn the_documented_messages_are_real() {
    let text = std::fs::read_to_string("docs/signaling.md").unwrap();
    let hub = text.split("# The hub").nth(1).unwrap();
    let (clients, rest) = hub.split_once("What the hub says:").unwrap();
    let examples = |part: &str| -> Vec<Value> {
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `{")?.split_once("` |"));
        rows.map(|(json, _)| serde_json::from_str(&format!("{{{json}")).unwrap()).collect()
    };
    let mut said = Vec::new();
    for example in examples(clients) {
        let message = ToHub::read(&example.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&message.to_json()).unwrap(), example);
        said.push(std::mem::discriminant(&message));
    }
    said.dedup();
    assert_eq!(
        (examples(clients).len(), said.len()),
        (12, 7),
        "join, leave, members', requests, sealed and refused, register, media"
    );
    let types: Vec<_> = examples(clients).iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect();
    let known = [
        "join",
        "leave",
        "offer",
        "answer",
        "iceCandidate",
        "requestStream",
        "sealed",
        "refused",
        "register_media_server",
    ];
    assert_eq!(types[..9], known);
    let mut told: Vec<_> = Vec::new();
    for example in examples(rest) {
        let message: FromHub = FromHub::read(&example.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&message.to_json()).unwrap(), example);
        told.push(example["type"].as_str().unwrap().to_owned());
    }
    let known = [
        "welcome",
        "joined",
        "clientJoined",
        "clientDisconnected",
        "viewerRequest",
        "cameraAvailable",
        "cameraUnavailable",
        "cameraNotFound",
        "offer",
        "media_server_registered",
        "media_server_replaced",
        "offer",
        "answer",
        "error",
    ];
    assert_eq!(told, known);
    for code in Code::ALL {
        assert!(rest.contains(&format!("`{}`", code.word())), "{code:?}");
        assert_eq!(serde_json::to_value(code).unwrap(), code.word());
    }
}
