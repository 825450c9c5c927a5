//! What this site's network lets through, for `screen-portal check`: every configured server is asked, at the same time, within
//! [`LIMIT`].

use super::framing::{self, Messages};
use super::server::{Reach, Server};
use super::{Ice, stream};
use crate::link::{Config, Error};
use bytes::BytesMut;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc::stun::message::{BINDING_REQUEST, Getter, Message, TransactionId};
use rtc::stun::xoraddr::XorMappedAddress;
use rtc::turn::client::{Client, ClientConfig, Event};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// All answers must have come by then. Names are looked up before, for a second at most.
const LIMIT: Duration = Duration::from_secs(2);
/// A question that is not answered is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// The longest answer.
const LONGEST: usize = 2048;

/// How one server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Its URL.
    pub url: String,
    /// How it was asked.
    pub reach: Reach,
    /// What it gave us, or why it gave nothing.
    pub answer: Result<Answer, Refusal>,
    /// How long the answer took.
    pub took: Duration,
}

/// What a server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// STUN: our address as it sees it.
    Mapped(SocketAddr),
    /// TURN: an address that it relays for us. It was given back.
    Relayed(SocketAddr),
}

/// Why a server gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its name has no address.
    Unknown,
    /// Nothing came back in time.
    Silent,
    /// No connection; why.
    Unreachable(String),
    /// It does not know us.
    Credentials,
    /// It does not want to, in its own words.
    Unwilling(String),
}

/// What address translation makes of a UDP socket of ours (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Nothing: the address is our own.
    None,
    /// The same public address whomever we talk to: the far end can be told.
    Same(SocketAddr),
    /// Another one for each far address ("symmetric"): nobody can be told.
    Varies,
    /// Translated, but only one address was asked.
    Translated(SocketAddr),
    /// No answer over UDP.
    NoAnswer,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// In the order of the configuration.
    pub servers: Vec<Surveyed>,
    /// Over IPv4 or, where nothing answers there, over IPv6.
    pub mapping: Mapping,
}

/// Asks all servers of a configuration.
pub async fn survey(config: &Config) -> Result<Survey, Error> {
    let ice = Arc::new(Ice::new(config)?);
    ice.prepare().await;
    let mapping = tokio::spawn(mapping(ice.clone()));
    let mut questions = JoinSet::new();
    for (index, server) in ice.servers.iter().cloned().enumerate() {
        let ice = ice.clone();
        questions.spawn(async move {
            let start = Instant::now();
            let answer = match ice.resolver.known(&server.host, server.port).first() {
                None => Err(Refusal::Unknown),
                Some(&address) => {
                    tokio::time::timeout(LIMIT, ask(&ice, &server, address)).await.unwrap_or(Err(Refusal::Silent))
                }
            };
            (index, Surveyed { url: server.url, reach: server.reach, answer, took: start.elapsed() })
        });
    }
    let mut servers = questions.join_all().await;
    servers.sort_by_key(|(index, _)| *index);
    let servers = servers.into_iter().map(|(_, surveyed)| surveyed).collect();
    Ok(Survey { servers, mapping: mapping.await.unwrap_or(Mapping::NoAnswer) })
}

async fn ask(ice: &Ice, server: &Server, address: SocketAddr) -> Result<Answer, Refusal> {
    let unreachable = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => Refusal::Silent,
        _ => Refusal::Unreachable(error.to_string()),
    };
    match server.reach {
        Reach::Stun => {
            let socket = socket(address).await.map_err(unreachable)?;
            let asked = mapped(&socket, &[address]).await.map_err(unreachable)?;
            asked.first().map(|(_, mapped)| Answer::Mapped(*mapped)).ok_or(Refusal::Silent)
        }
        Reach::TurnUdp => {
            let socket = socket(address).await.map_err(unreachable)?;
            socket.connect(address).await.map_err(unreachable)?;
            let mut client = Allocation::new(server, address)?;
            let mut buffer = [0; LONGEST];
            loop {
                while let Some(message) = client.next_message() {
                    socket.send(&message).await.map_err(unreachable)?;
                }
                if let Some(answer) = client.answer.take() {
                    return answer;
                }
                match tokio::time::timeout(AGAIN, socket.recv(&mut buffer)).await {
                    Ok(received) => client.take(&buffer[..received.map_err(unreachable)?]),
                    Err(_) => client.wait(),
                }
            }
        }
        Reach::TurnTcp | Reach::TurnTls => {
            let mut stream = stream::connect(server, address, None, ice.tls.as_ref()).await.map_err(unreachable)?;
            let mut client = Allocation::new(server, address)?;
            let mut messages = Messages::default();
            loop {
                let mut out = BytesMut::new();
                while let Some(message) = client.next_message() {
                    framing::append(&message, &mut out);
                }
                stream.write_all(&out).await.map_err(unreachable)?;
                stream.flush().await.map_err(unreachable)?;
                if let Some(answer) = client.answer.take() {
                    return answer;
                }
                if stream.read_buf(messages.space()).await.map_err(unreachable)? == 0 {
                    return Err(Refusal::Unreachable("it closes the connection".into()));
                }
                while let Some(message) = messages.next().map_err(|error| Refusal::Unreachable(error.to_string()))? {
                    client.take(&message);
                }
            }
        }
    }
}

async fn socket(for_server: SocketAddr) -> io::Result<UdpSocket> {
    let any = if for_server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind(SocketAddr::new(any, 0)).await
}

/// Asks several STUN servers from one socket what they see of it; until all have answered, or for [`LIMIT`].
async fn mapped(socket: &UdpSocket, servers: &[SocketAddr]) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
    let mut request = Message::new();
    request.build(&[Box::<TransactionId>::default(), Box::new(BINDING_REQUEST)]).map_err(io::Error::other)?;
    let deadline = tokio::time::Instant::now() + LIMIT;
    let (mut answers, mut buffer) = (Vec::new(), [0; LONGEST]);
    let mut again = tokio::time::interval(AGAIN);
    while answers.len() < servers.len() {
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => break,
            _ = again.tick() => for server in servers {
                // One that cannot be reached must not keep from asking the others.
                let _ = socket.send_to(&request.raw, server).await;
            },
            received = socket.recv_from(&mut buffer) => {
                // A refusal that comes as an error belongs to one of them, nobody knows which.
                let Ok((length, from)) = received else { continue };
                let known = servers.contains(&from) && !answers.iter().any(|(server, _)| *server == from);
                if let Some(address) = mapped_address(&buffer[..length], request.transaction_id).filter(|_| known) {
                    answers.push((from, address));
                }
            }
        }
    }
    Ok(answers)
}

fn mapped_address(answer: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let mut message = Message::new();
    message.raw = answer.to_vec();
    message.decode().ok()?;
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&message).ok()?;
    (message.transaction_id == id).then_some(SocketAddr::new(mapped.ip, mapped.port))
}

async fn mapping(ice: Arc<Ice>) -> Mapping {
    let over_udp = |server: &&Server| !server.is_bridged();
    let mut addresses: Vec<_> =
        ice.servers.iter().filter(over_udp).flat_map(|server| ice.resolver.known(&server.host, server.port)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv4);
    let (v4, v6) = tokio::join!(mapping_of(&v4), mapping_of(&v6));
    if v4 == Mapping::NoAnswer { v6 } else { v4 }
}

/// Servers of one family.
async fn mapping_of(servers: &[SocketAddr]) -> Mapping {
    let asked = async {
        let socket = socket(*servers.first()?).await.ok()?;
        let answers = mapped(&socket, servers).await.ok()?;
        // Where packets to it leave from; nothing is sent.
        let towards = std::net::UdpSocket::bind(SocketAddr::new(socket.local_addr().ok()?.ip(), 0)).ok()?;
        towards.connect(answers.first()?.0).ok()?;
        let own = SocketAddr::new(towards.local_addr().ok()?.ip(), socket.local_addr().ok()?.port());
        Some(judge(own, &answers.into_iter().map(|(_, mapped)| mapped).collect::<Vec<_>>()))
    };
    asked.await.unwrap_or(Mapping::NoAnswer)
}

fn judge(own: SocketAddr, mapped: &[SocketAddr]) -> Mapping {
    match mapped {
        [] => Mapping::NoAnswer,
        [first, others @ ..] if others.iter().any(|other| other != first) => Mapping::Varies,
        [first, ..] if *first == own => Mapping::None,
        [first] => Mapping::Translated(*first),
        [first, ..] => Mapping::Same(*first),
    }
}

/// The library's TURN client, as far as an address, which is given back at once.
struct Allocation {
    client: Client,
    server: SocketAddr,
    answer: Option<Result<Answer, Refusal>>,
}

impl Allocation {
    fn new(server: &Server, address: SocketAddr) -> Result<Self, Refusal> {
        let unwilling = |error: &dyn std::fmt::Display| Refusal::Unwilling(error.to_string());
        let provider = rtc::crypto::default_provider().map_err(|error| unwilling(&error))?;
        let config = ClientConfig {
            turn_serv_addr: address.to_string(),
            local_addr: SocketAddr::new(if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }, 0),
            transport_protocol: TransportProtocol::UDP,
            username: server.username.clone(),
            password: server.credential.clone(),
            ..Default::default()
        };
        let mut client = Client::new(config, provider).map_err(|error| unwilling(&error))?;
        client.allocate(Instant::now()).map_err(|error| unwilling(&error))?;
        Ok(Self { client, server: address, answer: None })
    }

    fn next_message(&mut self) -> Option<BytesMut> {
        self.client.poll_write().map(|message| message.message)
    }

    /// Nothing came: it may want to ask again.
    fn wait(&mut self) {
        let _ = self.client.handle_timeout(Instant::now());
    }

    fn take(&mut self, message: &[u8]) {
        let transport = TransportContext {
            local_addr: SocketAddr::new(self.server.ip(), 0),
            peer_addr: self.server,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        // What it cannot read, it does not answer.
        let _ = self.client.handle_read(TaggedBytesMut { now: Instant::now(), transport, message: message.into() });
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::AllocateResponse(_, relayed) => {
                    if let Ok(mut relay) = self.client.relay(relayed) {
                        let _ = relay.close(Instant::now());
                    }
                    self.answer = Some(Ok(Answer::Relayed(relayed)));
                }
                Event::AllocateError(_, error) => {
                    let words = error.to_string();
                    let refusal = if words.contains("401") { Refusal::Credentials } else { Refusal::Unwilling(words) };
                    self.answer.get_or_insert(Err(refusal));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (own, public, other) = (address("10.0.0.2:5000"), address("203.0.113.7:5000"), address("203.0.113.7:5001"));
        assert_eq!(judge(own, &[]), Mapping::NoAnswer);
        assert_eq!(judge(own, &[own]), Mapping::None);
        assert_eq!(judge(own, &[public]), Mapping::Translated(public));
        assert_eq!(judge(own, &[public, public]), Mapping::Same(public));
        assert_eq!(judge(own, &[public, other]), Mapping::Varies);
    }

    #[tokio::test]
    async fn servers_that_do_not_answer_take_no_longer_than_the_limit() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = silent.local_addr().unwrap().port();
        let urls = [
            format!("stun:127.0.0.1:{port}"),
            format!("turn:127.0.0.1:{port}"),
            format!("turn:127.0.0.1:{closed}?transport=tcp"),
            "turn:nowhere.invalid?transport=tcp".into(),
        ];
        let server =
            crate::link::IceServer { urls: urls.into(), username: "portal".into(), credential: "secret".into() };
        let (config, start) = (Config { ice_servers: vec![server], ..Config::default() }, Instant::now());
        let survey = survey(&config).await.unwrap();
        assert!(start.elapsed() < LIMIT + Duration::from_millis(1500), "{:?}", start.elapsed());
        let refusals: Vec<_> = survey.servers.into_iter().map(|surveyed| surveyed.answer.unwrap_err()).collect();
        assert_eq!((&refusals[0], &refusals[1], &refusals[3]), (&Refusal::Silent, &Refusal::Silent, &Refusal::Unknown));
        assert!(matches!(&refusals[2], Refusal::Unreachable(words) if words.contains("refused")), "{refusals:?}");
        assert_eq!(survey.mapping, Mapping::NoAnswer);
    }

    #[test]
    fn damaged_answers_are_none() {
        for answer in [&b""[..], b"\x01\x01\0\0", &[0xff; 40]] {
            assert_eq!(mapped_address(answer, TransactionId::default()), None);
        }
    }
}
