//! Who is in which room, and who is told what: plain data, no sockets.
//!
//! Everything that a client says is carried out here, or refused with a reason. Nobody is ever told anything of another room, and nothing is
//! kept of a client that has left.

use super::access::{Rights, Role};
use super::message::{ClientId, Code, Content, FromHub, Join, Media, Member, Refusal, ToHub};
use std::collections::HashMap;
use std::sync::Arc;

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// To whom.
    pub to: Vec<ClientId>,
    /// What.
    pub message: FromHub,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rooms.
    pub rooms: usize,
    /// Members of one room.
    pub members: usize,
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Directory {
    limits: Limits,
    clients: HashMap<ClientId, Client>,
    rooms: HashMap<Arc<str>, Room>,
    /// For those who are in no room.
    lobby_media_server: Option<ClientId>,
}

#[derive(Debug, Default)]
struct Client {
    room: Option<Arc<str>>,
    device_type: Option<String>,
    /// What its pictures are asked for by, if it is a camera.
    camera_id: Option<String>,
    is_media_server: bool,
    /// Whether it has said something to a media server, which is to be told of its end, and it of the media server's.
    has_session: bool,
}

#[derive(Debug, Default)]
struct Room {
    /// In the order in which they came.
    members: Vec<ClientId>,
    /// Whose each camera is. Who took a name last has it: a camera that was cut off comes back before the hub has noticed.
    cameras: HashMap<String, ClientId>,
    media_server: Option<ClientId>,
}

impl Directory {
    /// Without anybody.
    pub fn new(limits: Limits) -> Self {
        Self { limits, clients: HashMap::new(), rooms: HashMap::new(), lobby_media_server: None }
    }

    /// How many are connected.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// How many rooms there are. A room is there while somebody is in it.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Somebody has connected.
    pub fn enter(&mut self, id: ClientId) -> Delivery {
        self.clients.insert(id, Client::default());
        Delivery { to: vec![id], message: FromHub::Welcome { client_id: id } }
    }

    /// Somebody is gone, in whatever way.
    pub fn vanish(&mut self, id: ClientId) -> Vec<Delivery> {
        let mut out = Vec::new();
        self.leave(id, &mut out);
        self.clients.remove(&id);
        out
    }

    /// Carries out what a client says; `rights` tells what it may. What is refused has changed nothing.
    ///
    /// # Errors
    /// Why it is refused, for its sender.
    pub fn carry_out(&mut self, from: ClientId, message: ToHub, rights: &Rights) -> Result<Vec<Delivery>, Refusal> {
        let mut out = Vec::new();
        match message {
            ToHub::Join(join) => self.join(from, join, rights, &mut out)?,
            ToHub::Leave => self.leave(from, &mut out),
            ToHub::Relay { target, content } => out.push(self.relay(from, target, content)?),
            ToHub::RequestStream { camera_id } => out.push(self.request(from, camera_id)?),
            ToHub::RegisterMediaServer { token } => self.register(from, rights, token.as_deref(), &mut out)?,
            ToHub::Media { client_id, token, content } => {
                out.push(
                    self.media(from, client_id, content, |room| rights.allow(room, Role::Viewer, token.as_deref()))?,
                );
            }
        }
        Ok(out)
    }

    fn join(&mut self, from: ClientId, join: Join, rights: &Rights, out: &mut Vec<Delivery>) -> Result<(), Refusal> {
        let is_camera = join.camera_id.is_some() || join.device_type.as_deref() == Some("camera");
        let role = match join.device_type.as_deref() {
            _ if is_camera => Role::Camera,
            Some("portal") => Role::Portal,
            _ => Role::Viewer,
        };
        rights.allow(&join.room, role, join.token.as_deref())?;
        let stays = self.client(from).room.as_deref() == Some(&*join.room);
        let room = self.rooms.get(&*join.room);
        let members = room.map_or(0, |room| room.members.len()) - usize::from(stays);
        if members >= self.limits.members {
            return Err(Refusal::new(
                Code::RoomFull,
                format!("the room has {members} members, which is the most it may have"),
            ));
        }
        let leaves_empty = |room: &Room| room.members == [from];
        let ends = self.client(from).room.as_ref().and_then(|room| self.rooms.get(room)).is_some_and(leaves_empty);
        if room.is_none() && self.rooms.len() - usize::from(ends) >= self.limits.rooms {
            return Err(Refusal::new(
                Code::TooManyRooms,
                format!("there are {} rooms, which is the most there may be", self.rooms.len()),
            ));
        }
        self.leave(from, out);

        let name: Arc<str> = join.room.into();
        let room = self.rooms.entry(Arc::clone(&name)).or_default();
        let others = room.members.clone();
        room.members.push(from);
        let camera_id = is_camera.then(|| join.camera_id.unwrap_or_else(|| from.to_string()));
        let here: Vec<_> = room.cameras.iter().map(|(camera_id, id)| (camera_id.clone(), *id)).collect();
        if let Some(camera_id) = &camera_id
            && let Some(before) = room.cameras.insert(camera_id.clone(), from)
            && let Some(before) = self.clients.get_mut(&before)
        {
            before.camera_id = None;
        }
        let client = self.clients.entry(from).or_default();
        client.room = Some(Arc::clone(&name));
        client.device_type = join.device_type;
        client.camera_id.clone_from(&camera_id);
        let myself = client.member(from);

        let clients = others.iter().filter_map(|id| Some(self.clients.get(id)?.member(*id))).collect();
        out.push(Delivery {
            to: vec![from],
            message: FromHub::Joined { room: name.to_string(), client_id: from, clients },
        });
        for (camera_id, client_id) in here {
            out.push(Delivery { to: vec![from], message: FromHub::CameraAvailable { camera_id, client_id } });
        }
        if others.is_empty() {
            return Ok(());
        }
        out.push(Delivery { to: others.clone(), message: FromHub::ClientJoined(myself) });
        if let Some(camera_id) = camera_id {
            out.push(Delivery { to: others, message: FromHub::CameraAvailable { camera_id, client_id: from } });
        }
        Ok(())
    }

    /// Leaves room and lobby: what others held of this client ends.
    fn leave(&mut self, from: ClientId, out: &mut Vec<Delivery>) {
        let Some(client) = self.clients.get_mut(&from) else { return };
        let client = std::mem::take(client);
        let others = match &client.room {
            Some(name) => {
                let Some(room) = self.rooms.get_mut(name) else { return };
                room.members.retain(|id| *id != from);
                if let Some(camera_id) = &client.camera_id {
                    room.cameras.remove(camera_id);
                }
                if room.members.is_empty() {
                    self.rooms.remove(name);
                    return;
                }
                room.members.clone()
            }
            None => Vec::new(),
        };
        if client.is_media_server {
            *self.media_server(client.room.as_deref()) = None;
            self.media_server_gone(client.room.as_deref(), out);
        }
        match *self.media_server(client.room.as_deref()) {
            // In a room it hears that anyway.
            Some(server) if client.room.is_none() && client.has_session => {
                out.push(Delivery { to: vec![server], message: FromHub::ClientDisconnected { client_id: from } });
            }
            _ => {}
        }
        if others.is_empty() {
            return;
        }
        if let Some(camera_id) = client.camera_id {
            out.push(Delivery { to: others.clone(), message: FromHub::CameraUnavailable { camera_id } });
        }
        out.push(Delivery { to: others, message: FromHub::ClientDisconnected { client_id: from } });
    }

    fn relay(&self, from: ClientId, target: ClientId, content: Content) -> Result<Delivery, Refusal> {
        let room = self.client(from).room.as_ref().ok_or_else(not_in_room)?;
        if self.clients.get(&target).and_then(|client| client.room.as_ref()) != Some(room) {
            return Err(Refusal::new(Code::TargetNotFound, format!("{target} is not in this room (any more)")));
        }
        Ok(Delivery { to: vec![target], message: FromHub::Relayed { sender: from, content } })
    }

    fn request(&self, from: ClientId, camera_id: String) -> Result<Delivery, Refusal> {
        let room = self.client(from).room.as_ref().ok_or_else(not_in_room)?;
        let camera = self.rooms.get(room).and_then(|room| room.cameras.get(&camera_id));
        Ok(match camera {
            Some(camera) => {
                Delivery { to: vec![*camera], message: FromHub::ViewerRequest { viewer_id: from, camera_id } }
            }
            None => Delivery { to: vec![from], message: FromHub::CameraNotFound { camera_id } },
        })
    }

    fn register(
        &mut self,
        from: ClientId,
        rights: &Rights,
        token: Option<&str>,
        out: &mut Vec<Delivery>,
    ) -> Result<(), Refusal> {
        let room = self.client(from).room.clone();
        rights.allow(room.as_deref().unwrap_or_default(), Role::MediaServer, token)?;
        let before = self.media_server(room.as_deref()).replace(from);
        if let Some(before) = before.filter(|before| *before != from) {
            if let Some(client) = self.clients.get_mut(&before) {
                client.is_media_server = false;
            }
            out.push(Delivery { to: vec![before], message: FromHub::MediaServerReplaced {} });
            self.media_server_gone(room.as_deref(), out);
        }
        self.clients.entry(from).or_default().is_media_server = true;
        out.push(Delivery { to: vec![from], message: FromHub::MediaServerRegistered {} });
        Ok(())
    }

    /// `may_view` tells whether the sender may be a viewer in a room; "" is that of those who are in none.
    fn media(
        &mut self,
        from: ClientId,
        to: Option<ClientId>,
        content: Media,
        may_view: impl FnOnce(&str) -> Result<(), Refusal>,
    ) -> Result<Delivery, Refusal> {
        let room = self.client(from).room.clone();
        if self.client(from).is_media_server {
            let same_room = |client: &Client| client.room == room && client.has_session;
            let to = to.filter(|to| self.clients.get(to).is_some_and(same_room));
            let to = to.ok_or_else(|| {
                Refusal::new(
                    Code::TargetNotFound,
                    "\"client_id\" names nobody who has asked this media server for anything",
                )
            })?;
            return Ok(Delivery { to: vec![to], message: FromHub::Media { client_id: to, content } });
        }
        // A media server's words: one that has been replaced may not have noticed.
        if to.is_some_and(|to| to != from) {
            return Err(Refusal::new(
                Code::NotMediaServer,
                "only a media server says \"client_id\", and you are none (any more): register as one, or leave it out",
            ));
        }
        // Whoever is in a room was let in with a token; those who are in none have shown theirs when they spoke first.
        if room.is_none() && !self.client(from).has_session {
            may_view("")?;
        }
        let server = self.media_server(room.as_deref()).ok_or_else(|| {
            let place = if room.is_some() { "in this room" } else { "among those who are in no room" };
            Refusal::new(
                Code::NoMediaServer,
                format!("there is no media server {place}; for a member, say \"target\" and an object \"sdp\""),
            )
        })?;
        self.clients.entry(from).or_default().has_session = true;
        Ok(Delivery { to: vec![server], message: FromHub::Media { client_id: from, content } })
    }

    fn media_server(&mut self, room: Option<&str>) -> &mut Option<ClientId> {
        match room.and_then(|room| self.rooms.get_mut(room)) {
            Some(room) => &mut room.media_server,
            None => &mut self.lobby_media_server,
        }
    }

    /// Tells those whose sessions end with it.
    fn media_server_gone(&mut self, room: Option<&str>, out: &mut Vec<Delivery>) {
        let mut to = Vec::new();
        for (id, client) in &mut self.clients {
            if client.room.as_deref() == room && std::mem::take(&mut client.has_session) {
                to.push(*id);
            }
        }
        if !to.is_empty() {
            let message = "the media server has gone; ask again when there is another one".into();
            out.push(Delivery { to, message: FromHub::Error { code: Code::MediaServerGone, message } });
        }
    }

    /// Of somebody who has not entered (a mistake of ours), nothing is known.
    fn client(&self, id: ClientId) -> &Client {
        static NOBODY: Client =
            Client { room: None, device_type: None, camera_id: None, is_media_server: false, has_session: false };
        self.clients.get(&id).unwrap_or(&NOBODY)
    }
}

impl Client {
    fn member(&self, client_id: ClientId) -> Member {
        Member { client_id, device_type: self.device_type.clone(), camera_id: self.camera_id.clone() }
    }
}

fn not_in_room() -> Refusal {
    Refusal::new(Code::NotInRoom, "join a room first")
}
