//! Who is told what: cases as clients see them, and what holds whatever anybody says.

use super::access::{Rights, Role};
use super::config::Token;
use super::directory::{Delivery, Directory, Limits};
use super::message::{ClientId, Code, Content, FromHub, Media, Refusal, ToHub};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

const LIMITS: Limits = Limits { rooms: 3, members: 4 };

/// A directory with clients named by small numbers.
struct Hall {
    directory: Directory,
    rights: Rights,
}

impl Hall {
    fn new(clients: u64) -> Self {
        let mut directory = Directory::new(LIMITS);
        for id in 0..clients {
            let welcome = directory.enter(ClientId::from(id));
            assert_eq!(welcome.message.to_json(), format!(r#"{{"type":"welcome","clientId":"{id:016x}"}}"#));
        }
        Self { directory, rights: Rights::new(Arc::new([]), None) }
    }

    fn try_say(&mut self, from: u64, message: Value) -> Result<Vec<Delivery>, Refusal> {
        let message = ToHub::read(&message.to_string())?;
        self.directory.carry_out(ClientId::from(from), message, &self.rights)
    }

    /// What everybody is told, as `receiver: message`.
    fn say(&mut self, from: u64, message: Value) -> Vec<(u64, Value)> {
        match self.try_say(from, message) {
            Ok(deliveries) => told(deliveries),
            Err(refusal) => vec![(from, json!({ "type": "error", "code": refusal.code.word() }))],
        }
    }
}

fn told(deliveries: Vec<Delivery>) -> Vec<(u64, Value)> {
    let number = |id: &ClientId| u64::from_str_radix(&id.to_string(), 16).unwrap();
    let read = |message: &FromHub| serde_json::from_str::<Value>(&message.to_json()).unwrap();
    deliveries.iter().flat_map(|it| it.to.iter().map(move |to| (number(to), read(&it.message)))).collect()
}

fn id(number: u64) -> String {
    ClientId::from(number).to_string()
}

fn joined(me: u64, room: &str, clients: Value) -> (u64, Value) {
    (me, json!({ "type": "joined", "room": room, "clientId": id(me), "clients": clients }))
}

#[test]
fn a_viewer_finds_a_camera_and_the_two_speak() {
    let mut hall = Hall::new(3);
    assert_eq!(
        hall.say(0, json!({ "type": "join", "room": "hall", "deviceType": "camera", "cameraId": "door" })),
        [joined(0, "hall", json!([]))]
    );
    let camera = json!({ "clientId": id(0), "deviceType": "camera", "cameraId": "door" });
    assert_eq!(
        hall.say(1, json!({ "type": "join", "roomId": "hall" })),
        [
            joined(1, "hall", json!([camera])),
            (1, json!({ "type": "cameraAvailable", "cameraId": "door", "clientId": id(0) })),
            (0, json!({ "type": "clientJoined", "clientId": id(1) })),
        ],
        "a late joiner hears of the cameras that are there"
    );
    assert_eq!(
        hall.say(1, json!({ "type": "requestStream", "cameraId": "door" })),
        [(0, json!({ "type": "viewerRequest", "viewerId": id(1), "cameraId": "door" }))]
    );
    assert_eq!(
        hall.say(1, json!({ "type": "requestStream", "cameraId": "window" })),
        [(1, json!({ "type": "cameraNotFound", "cameraId": "window" }))]
    );
    let offer = json!({ "type": "offer", "sdp": "v=0\r\n" });
    assert_eq!(
        hall.say(0, json!({ "type": "offer", "target": id(1), "sdp": offer })),
        [(1, json!({ "type": "offer", "sender": id(0), "sdp": offer }))]
    );
    let answer = json!({ "type": "answer", "sdp": "v=0\r\n" });
    assert_eq!(
        hall.say(1, json!({ "type": "answer", "target": id(0), "sdp": answer })),
        [(0, json!({ "type": "answer", "sender": id(1), "sdp": answer }))]
    );
    let candidate = json!({ "candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "ab" });
    assert_eq!(
        hall.say(0, json!({ "type": "iceCandidate", "target": id(1), "candidate": candidate })),
        [(1, json!({ "type": "iceCandidate", "sender": id(0), "candidate": candidate }))]
    );
    assert_eq!(
        hall.say(0, json!({ "type": "iceCandidate", "target": id(1), "candidate": null })),
        [(1, json!({ "type": "iceCandidate", "sender": id(0), "candidate": null }))]
    );
    // Another camera comes, then the first vanishes.
    let second = json!({ "clientId": id(2), "deviceType": "camera", "cameraId": id(2) });
    assert_eq!(
        hall.say(2, json!({ "type": "join", "room": "hall", "deviceType": "camera" }))[2..],
        [
            (0, merged(json!({ "type": "clientJoined" }), &second)),
            (1, merged(json!({ "type": "clientJoined" }), &second)),
            (0, json!({ "type": "cameraAvailable", "cameraId": id(2), "clientId": id(2) })),
            (1, json!({ "type": "cameraAvailable", "cameraId": id(2), "clientId": id(2) })),
        ]
    );
    let gone = told(hall.directory.vanish(ClientId::from(0)));
    let unavailable = json!({ "type": "cameraUnavailable", "cameraId": "door" });
    let disconnected = json!({ "type": "clientDisconnected", "clientId": id(0) });
    let expected = [(1, &unavailable), (2, &unavailable), (1, &disconnected), (2, &disconnected)];
    assert_eq!(gone, expected.map(|(to, message)| (to, message.clone())));
}

fn merged(mut message: Value, more: &Value) -> Value {
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[test]
fn another_room_leaves_the_first_and_a_camera_that_comes_back_keeps_its_name() {
    let mut hall = Hall::new(3);
    hall.say(0, json!({ "type": "join", "room": "a", "cameraId": "door" }));
    hall.say(1, json!({ "type": "join", "room": "a" }));
    // The same camera again, before the hub has noticed that the first connection is dead.
    assert_eq!(hall.say(2, json!({ "type": "join", "room": "a", "cameraId": "door" })).len(), 6);
    let gone = told(hall.directory.vanish(ClientId::from(0)));
    assert!(
        gone.iter().all(|(_, message)| message["type"] == "clientDisconnected"),
        "the name is the newer one's: {gone:?}"
    );
    let moved = hall.say(2, json!({ "type": "join", "room": "b", "cameraId": "door" }));
    assert_eq!(
        moved,
        [
            (1, json!({ "type": "cameraUnavailable", "cameraId": "door" })),
            (1, json!({ "type": "clientDisconnected", "clientId": id(2) })),
            joined(2, "b", json!([])),
        ]
    );
    assert_eq!(hall.say(1, json!({ "type": "leave" })), []);
    assert_eq!((hall.directory.clients(), hall.directory.rooms()), (2, 1));
    let offer = json!({ "type": "offer", "target": id(2), "sdp": { "type": "offer", "sdp": "" } });
    assert_eq!(hall.say(1, offer.clone()), [(1, json!({ "type": "error", "code": "notInRoom" }))]);
    hall.say(1, json!({ "type": "join" }));
    assert_eq!(
        hall.say(1, offer),
        [(1, json!({ "type": "error", "code": "targetNotFound" }))],
        "nobody of another room"
    );
}

#[test]
fn a_media_server_answers_everybody_of_its_room() {
    let mut hall = Hall::new(4);
    let offer = json!({ "type": "offer", "sdp": "v=0", "video_source": "door" });
    assert_eq!(hall.say(1, offer.clone()), [(1, json!({ "type": "error", "code": "noMediaServer" }))]);
    assert_eq!(
        hall.say(0, json!({ "type": "register_media_server" })),
        [(0, json!({ "type": "media_server_registered" }))]
    );
    assert_eq!(
        hall.say(0, json!({ "type": "answer", "client_id": id(1), "sdp": "v=0" })),
        [(0, json!({ "type": "error", "code": "targetNotFound" }))]
    );
    assert_eq!(
        hall.say(1, offer.clone()),
        [(0, json!({ "type": "offer", "client_id": id(1), "sdp": "v=0", "video_source": "door" }))]
    );
    assert_eq!(
        hall.say(0, json!({ "type": "answer", "client_id": id(1), "sdp": "v=0" })),
        [(1, json!({ "type": "answer", "client_id": id(1), "sdp": "v=0" }))]
    );
    let candidate = json!({ "candidate": "candidate:1", "sdpMLineIndex": 0 });
    assert_eq!(
        hall.say(1, json!({ "type": "ice", "candidate": candidate })),
        [(0, json!({ "type": "ice", "client_id": id(1), "candidate": candidate }))]
    );
    assert_eq!(
        hall.say(0, json!({ "type": "ice", "client_id": id(1), "candidate": "candidate:2" })),
        [(1, json!({ "type": "ice", "client_id": id(1), "candidate": "candidate:2" }))]
    );
    hall.say(2, json!({ "type": "join", "room": "elsewhere" }));
    assert_eq!(hall.say(2, offer.clone()), [(2, json!({ "type": "error", "code": "noMediaServer" }))], "another room");
    assert_eq!(
        told(hall.directory.vanish(ClientId::from(1))),
        [(0, json!({ "type": "clientDisconnected", "clientId": id(1) }))]
    );
    hall.say(3, offer);
    let gone = told(hall.directory.vanish(ClientId::from(0)));
    assert_eq!((gone.len(), gone[0].0, &gone[0].1["code"]), (1, 3, &json!("mediaServerGone")));
}

#[test]
fn a_media_server_that_is_replaced_is_told_and_is_one_no_more() {
    let mut hall = Hall::new(3);
    let (offer, answer) =
        (json!({ "type": "offer", "sdp": "v=0" }), json!({ "type": "answer", "client_id": id(2), "sdp": "v=0" }));
    hall.say(0, json!({ "type": "register_media_server" }));
    hall.say(2, offer.clone());
    let told = hall.say(1, json!({ "type": "register_media_server" }));
    assert_eq!(told[0], (0, json!({ "type": "media_server_replaced" })));
    assert_eq!((told[1].0, &told[1].1["code"]), (2, &json!("mediaServerGone")));
    assert_eq!(told[2..], [(1, json!({ "type": "media_server_registered" }))]);
    // What it says as a media server is not taken for a client's.
    let ice = json!({ "type": "ice", "client_id": id(2), "candidate": null });
    for late in [&answer, &ice, &json!({ "type": "offer", "client_id": id(2), "sdp": "v=0" })] {
        assert_eq!(hall.say(0, late.clone()), [(0, json!({ "type": "error", "code": "notMediaServer" }))]);
    }
    assert_eq!(hall.say(2, offer.clone())[0].0, 1);
    assert_eq!(hall.say(1, answer)[0].0, 2);
    // As a client it is like any other, and may well say who it is itself.
    assert_eq!(hall.say(0, json!({ "type": "offer", "client_id": id(0), "sdp": "v=0" }))[0].0, 1);
    // To register again changes nothing.
    assert_eq!(
        hall.say(1, json!({ "type": "register_media_server" })),
        [(1, json!({ "type": "media_server_registered" }))]
    );
}

#[test]
fn limits_and_rights_refuse_and_change_nothing() {
    let mut hall = Hall::new(8);
    for member in 0..4 {
        hall.say(member, json!({ "type": "join", "room": "full" }));
    }
    hall.say(4, json!({ "type": "join", "room": "b" }));
    hall.say(5, json!({ "type": "join", "room": "c" }));
    assert_eq!(
        hall.say(4, json!({ "type": "join", "room": "full" })),
        [(4, json!({ "type": "error", "code": "roomFull" }))]
    );
    assert_eq!(
        hall.say(6, json!({ "type": "join", "room": "d" })),
        [(6, json!({ "type": "error", "code": "tooManyRooms" }))]
    );
    assert_eq!(hall.say(0, json!({ "type": "join", "room": "full" })).len(), 1 + 3 + 3, "who is in it may enter again");
    assert_eq!(hall.say(4, json!({ "type": "join", "room": "d" })).len(), 1, "whose room ends makes place for another");
    let token = Token { token: "sixteen characters".into(), rooms: vec![], roles: vec![Role::Viewer] };
    hall.rights = Rights::new(Arc::new([token]), None);
    for message in [
        json!({ "type": "join", "room": "b" }),
        json!({ "type": "join", "room": "b", "cameraId": "x", "token": "sixteen characters" }),
        json!({ "type": "register_media_server" }),
    ] {
        assert_eq!(hall.say(5, message), [(5, json!({ "type": "error", "code": "notAllowed" }))]);
    }
    assert_eq!(hall.say(5, json!({ "type": "join", "room": "c", "token": "sixteen characters" })).len(), 1);
}

#[test]
fn what_is_no_message_is_told_so() {
    for (text, code) in [
        ("", Code::Malformed),
        ("null", Code::Malformed),
        ("[]", Code::Malformed),
        ("{}", Code::Malformed),
        (r#"["join","hall",null,null,null,null,null,null,null,null,null,null,null]"#, Code::Malformed),
        (r#" ["leave"]"#, Code::Malformed),
        (r#"{"type":"offer","target":"0000000000000000","sdp":["offer","v=0"]}"#, Code::Malformed),
        (r#"{"type":"answer","target":"0000000000000000","sdp":["answer","v=0"]}"#, Code::Malformed),
        (
            r#"{"type":"iceCandidate","target":"0000000000000000","candidate":["candidate:1","0",0,null]}"#,
            Code::Malformed,
        ),
        (r#"{"type":"join","room":"a","roomId":"b"}"#, Code::Malformed),
        (r#"{"type":"join","room":"a","room":"a"}"#, Code::Malformed),
        (r#"{"type":7}"#, Code::Malformed),
        (r#"{"type":"dance"}"#, Code::UnknownType),
        (r#"{"type":"join","room":{}}"#, Code::Malformed),
        (r#"{"type":"join","room":""}"#, Code::Malformed),
        (r#"{"type":"join","room":"a\u0007"}"#, Code::Malformed),
        (r#"{"type":"offer"}"#, Code::Malformed),
        (r#"{"type":"offer","target":"x","sdp":{"type":"offer","sdp":""}}"#, Code::TargetNotFound),
        (r#"{"type":"offer","target":"0000000000000000","sdp":{"type":"dance","sdp":""}}"#, Code::Malformed),
        (r#"{"type":"offer","target":"0000000000000000","sdp":7}"#, Code::Malformed),
        (r#"{"type":"iceCandidate","target":"0000000000000000"}"#, Code::Malformed),
        (r#"{"type":"iceCandidate","target":"0000000000000000","candidate":"text"}"#, Code::Malformed),
        (r#"{"type":"requestStream"}"#, Code::Malformed),
        (r#"{"type":"sealed","target":"0000000000000000","data":{}}"#, Code::Malformed),
    ] {
        let refusal = ToHub::read(text).unwrap_err();
        assert_eq!(refusal.code, code, "{text}");
        for word in ["struct", "variant", "sequence", "Raw", "Description with", "Candidate "] {
            assert!(!refusal.message.contains(word), "{text}: {} is for programmers of the hub", refusal.message);
        }
    }
    let many = format!(r#"{{"type":"join","room":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000));
    assert_eq!(ToHub::read(&many).unwrap_err().code, Code::Malformed);
    assert!(
        ToHub::read(r#"{"type":"join","room":7,"more":[1]}"#).is_ok(),
        "numbers are names, and what is unknown is passed over"
    );
}

#[test]
fn a_room_may_be_named_in_both_ways() {
    for (fields, room) in [
        (r#""room":"a","roomId":"a""#, "a"),
        (r#""room":"a","roomId":null"#, "a"),
        (r#""room":null,"roomId":"a""#, "a"),
        (r#""room":7,"roomId":"7""#, "7"),
        (r#""roomId":"a""#, "a"),
        (r#""room":null,"roomId":null"#, "default"),
    ] {
        let Ok(ToHub::Join(join)) = ToHub::read(&format!(r#"{{"type":"join",{fields}}}"#)) else { panic!("{fields}") };
        assert_eq!(join.room, room, "{fields}");
    }
}

#[test]
fn clients_take_objects_only() {
    for text in [
        r#"["welcome","0000000000000001"]"#,
        r#"["cameraNotFound","x"]"#,
        r#"{"type":"offer","sender":"0000000000000001","sdp":["offer","v=0"]}"#,
        r#"{"type":"answer","sender":"0000000000000001","sdp":["answer","v=0"]}"#,
        r#"{"type":"iceCandidate","sender":"0000000000000001","candidate":["candidate:1","0",0,null]}"#,
        r#"{"type":"joined","room":"a","clientId":"0000000000000001","clients":[["0000000000000002"]]}"#,
    ] {
        assert!(FromHub::read(text).is_err(), "{text}");
    }
    let null = r#"{"type":"iceCandidate","sender":"0000000000000001","candidate":null}"#;
    assert!(matches!(
        FromHub::read(null),
        Ok(FromHub::Relayed { content: Content::IceCandidate { candidate: None }, .. })
    ));
}

/// What clients may say, by small numbers that meet often.
fn words() -> impl Strategy<Value = Value> {
    let room = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
    let camera = proptest::option::of(prop_oneof![Just("x"), Just("y")]);
    let target = (0..8u64).prop_map(id);
    let description = json!({ "type": "offer", "sdp": "v=0" });
    prop_oneof![
        3 => (room, camera).prop_map(|(room, camera)| match camera {
            Some(camera) => json!({ "type": "join", "room": room, "cameraId": camera }),
            None => json!({ "type": "join", "room": room }),
        }),
        1 => Just(json!({ "type": "leave" })),
        3 => target.clone().prop_map(move |it| json!({ "type": "offer", "target": it, "sdp": description })),
        1 => target.clone().prop_map(|it| json!({ "type": "sealed", "target": it, "data": "?" })),
        2 => prop_oneof![Just("x"), Just("y")].prop_map(|it| json!({ "type": "requestStream", "cameraId": it })),
        1 => Just(json!({ "type": "register_media_server" })),
        2 => Just(json!({ "type": "offer", "sdp": "v=0" })),
        2 => target.prop_map(|it| json!({ "type": "answer", "client_id": it, "sdp": "v=0" })),
        1 => Just(json!({ "type": "vanish" })),
    ]
}

proptest! {
    #[test]
    fn nobody_hears_of_another_room(story in prop::collection::vec((0..8u64, words()), 0..200)) {
        let mut hall = Hall::new(8);
        let mut rooms: HashMap<u64, String> = HashMap::new();
        for (from, message) in story {
            let before = rooms.get(&from).cloned();
            let deliveries = if message["type"] == "vanish" {
                let deliveries = hall.directory.vanish(ClientId::from(from));
                hall.directory.enter(ClientId::from(from));
                rooms.remove(&from);
                deliveries
            } else {
                match hall.try_say(from, message.clone()) {
                    Ok(deliveries) => {
                        match message["type"].as_str() {
                            Some("join") => { rooms.insert(from, message["room"].as_str().unwrap().into()); }
                            Some("leave") => { rooms.remove(&from); }
                            _ => {}
                        }
                        deliveries
                    }
                    Err(_) => Vec::new(),
                }
            };
            for Delivery { to, message } in deliveries {
                for to in &to {
                    let to = u64::from_str_radix(&to.to_string(), 16).unwrap();
                    let (there, here) = (rooms.get(&to), rooms.get(&from));
                    prop_assert!(to == from || there == here || there == before.as_ref(), "{message:?} from {before:?}/{here:?} to {there:?}");
                    // The words of others go to whom they are for, who is in the same room now.
                    match &message {
                        FromHub::Relayed { sender, content: Content::Offer { .. } | Content::Sealed { .. } | Content::Refused { .. } } => {
                            prop_assert_eq!(*sender, ClientId::from(from));
                            prop_assert!(here.is_some() && here == there);
                        }
                        FromHub::ViewerRequest { viewer_id, .. } => {
                            prop_assert_eq!(*viewer_id, ClientId::from(from));
                            prop_assert_eq!(here, there);
                        }
                        FromHub::Media { client_id, content } => {
                            let client = if matches!(content, Media::Answer { .. }) && *client_id != ClientId::from(from) { to } else { from };
                            prop_assert_eq!(*client_id, ClientId::from(client));
                            prop_assert_eq!(here, there);
                        }
                        _ => {}
                    }
                }
            }
            let inhabited: std::collections::HashSet<_> = rooms.values().collect();
            prop_assert_eq!(hall.directory.rooms(), inhabited.len(), "nothing is kept of an empty room");
            prop_assert!(hall.directory.rooms() <= LIMITS.rooms);
        }
        for client in 0..8 {
            hall.directory.vanish(ClientId::from(client));
        }
        prop_assert_eq!((hall.directory.clients(), hall.directory.rooms()), (0, 0));
    }

    #[test]
    fn reading_is_total(text in ".{0,300}", kind in "(join|offer|answer|ice|iceCandidate|sealed|refused|requestStream|register_media_server)", fields in ".{0,100}") {
        let _ = ToHub::read(&text);
        let _ = ToHub::read(&format!(r#"{{"type":"{kind}",{fields}}}"#));
        if let Ok(message) = ToHub::read(&format!(r#"{{"type":"{kind}","target":"{}","sdp":"{}","candidate":null,"cameraId":"x","data":"","message":""}}"#, id(7), "v=0")) {
            prop_assert_eq!(ToHub::read(&message.to_json()), Ok(message));
        }
    }
}
