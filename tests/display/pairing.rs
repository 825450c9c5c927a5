//! Two kiosks that do not know each other, each on a screen of its own: somebody types the code of one at the keys of the other.

use super::cable::Cable;
use super::mosquitto::broker;
use super::screens::{Screen, XServer, is_installed};
use screen_portal::capture::Kind;
use screen_portal::config::Config;
use screen_portal::demo::{Picture, Plan, Portal, Region};
use screen_portal::display::Fit;
use screen_portal::hub;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// A picture older than this is not the right one.
const FRESH: Duration = Duration::from_millis(1500);
/// Whatever is painted is painted then.
const PAINTED: Duration = Duration::from_secs(1);

const NAMESPACES: [&str; 2] = ["kiosk-n", "kiosk-s"];

/// A kiosk, its screen and its keys.
pub struct Kiosk {
    pub server: XServer,
    pub folder: tempfile::TempDir,
    pub portal: Portal,
}

impl Kiosk {
    pub fn start(server: XServer, site: &str, wrapper: Vec<String>, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.site.name = site.into();
        config.data.folder = folder.path().into();
        config.source.kind = Kind::Pattern;
        (config.source.width, config.source.height, config.source.fps, config.source.time_code) = (640, 360, 15, true);
        (config.display.fit, config.display.self_view) = (Fit::Contain, false);
        change(&mut config);
        let executable = env!("CARGO_BIN_EXE_screen-portal").into();
        let environment = server.environment();
        let portal = Portal::start(&Plan { executable, wrapper, config, headless: false, environment }).unwrap();
        Self { server, folder, portal }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("portal.log")).unwrap_or_default()
    }

    /// The code that it shows, another one than `before`.
    pub fn code(&self, before: &str) -> String {
        let shown = || std::fs::read_to_string(self.folder.path().join("pairing-code")).unwrap_or_default();
        let code = || shown().lines().next().filter(|code| !code.is_empty() && *code != before).map(str::to_owned);
        self.until("a code is shown", || code().is_some());
        code().unwrap()
    }

    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "not yet: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn until_logged(&self, words: &str) {
        self.until(words, || self.log().contains(words));
    }

    /// Waits until a fresh picture of the far end is on the screen.
    pub fn until_live(&self) {
        self.until("a fresh picture", || self.server.look().and_then(|shot| shot.age()).is_some_and(|age| age < FRESH));
    }

    fn xdotool(&self, arguments: &[&str]) {
        let output = Command::new("xdotool").env("DISPLAY", &self.server.display).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn press(&self, key: &str) {
        self.xdotool(&["key", "--delay", "150", key]);
    }

    pub fn write(&self, text: &str) {
        self.xdotool(&["type", "--delay", "60", text]);
    }

    /// What is on its screen, kept in a file too.
    pub fn photograph(&self, name: &str) -> Picture {
        std::thread::sleep(PAINTED);
        let region = Region { x: 0, y: 0, width: 1280, height: 720 };
        let picture = Picture::of_screen(&self.server.display, region).unwrap();
        std::fs::create_dir_all("target/pairing").unwrap();
        picture.save(&PathBuf::from("target/pairing").join(format!("{name}.png"))).unwrap();
        picture
    }

    /// Waits until the slate with its code is on the screen: from then on keys are heard.
    pub fn until_slate(&self) {
        self.until("the slate with its code", || !scanned(&self.photograph("0-slate")).is_empty());
    }

    /// The words that it says after pairing.
    pub fn words(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join("paired.toml")).ok()?;
        Some(text.parse::<toml::Table>().ok()?["pairing"]["words"].as_str()?.to_owned())
    }
}

/// Types the first one's code at the second, until both show each other; how long that took from the last key on. What is looked at after the last
/// key comes from `meanwhile`.
pub fn pair(kiosks: &[Kiosk; 2], code: &str, photograph: impl FnOnce()) -> Duration {
    let [shows, enters] = kiosks;
    enters.write(&code.replace('-', " "));
    photograph();
    let entered = Instant::now();
    enters.press("Return");
    kiosks.iter().for_each(Kiosk::until_live);
    let took = entered.elapsed();
    assert!(enters.words().is_some_and(|words| words.split(' ').count() == 3), "{}", enters.log());
    assert_eq!(shows.words(), enters.words());
    took
}

/// Two screens, or why there are none.
pub fn screens() -> Option<[XServer; 2]> {
    if !is_installed("xdotool") {
        println!("skipped: xdotool is not installed");
        return None;
    }
    let screens = XServer::start().zip(XServer::start());
    if screens.is_none() {
        println!("skipped: Xvfb is not installed");
    }
    screens.map(Into::into)
}

/// What a phone reads from the screen.
fn scanned(picture: &Picture) -> Vec<String> {
    let luma: Vec<u8> = picture.luma().collect();
    let mut reader = quircs::Quirc::default();
    let found: Vec<_> = reader.identify(1280, 720, &luma).flatten().filter_map(|code| code.decode().ok()).collect();
    found.into_iter().map(|data| String::from_utf8(data.payload).unwrap()).collect()
}

#[test]
fn a_code_typed_at_the_kiosk_pairs_two_in_one_network() {
    let _cable = match Cable::plug(NAMESPACES) {
        Ok(cable) => cable,
        Err(reason) => return println!("skipped: no network namespaces: {reason}"),
    };
    let Some(screens) = screens() else { return };
    let mut n = 0;
    let kiosks = screens.map(|server| {
        let wrapper = ["ip", "netns", "exec", NAMESPACES[n]].map(Into::into).into();
        n += 1;
        Kiosk::start(server, ["North", "South"][n - 1], wrapper, |_| {})
    });
    let [north, south] = &kiosks;
    let code = north.code("");
    let own = south.code("");
    let mut sheet = Vec::new();
    // Until the slate is there, with its neighbour.
    let start = Instant::now();
    let command = format!("screen-portal pair {code} --address 192.0.2.1:7413");
    let slate = loop {
        let picture = north.photograph("1-slate");
        if scanned(&picture) == [command.clone()] {
            break picture;
        }
        assert!(start.elapsed() < PATIENCE, "{command}: {:?}\n{}", scanned(&picture), north.log());
    };
    sheet.push(slate);

    south.press("Return");
    let (beginning, _) = code.rsplit_once('-').unwrap();
    south.write(&format!("{} orbt", beginning.replace('-', " ")));
    sheet.push(south.photograph("2-mistake"));
    south.press("Escape");
    south.press("Return");
    let wrong = format!("{beginning} {}", if code.ends_with("zoo") { "zone" } else { "zoo" });
    south.write(&wrong);
    south.press("Return");
    south.until_logged("the code is not the one that is shown there");
    sheet.push(south.photograph("3-wrong-code"));
    // Its own, by mistake: nobody is asked.
    south.press("Escape");
    south.press("Return");
    south.write(&own);
    south.press("Return");
    south.until_logged("this is the code of this portal itself");
    assert_eq!(south.code(""), own, "its own code goes on being shown");

    south.press("Escape");
    south.press("Return");
    let mut typed = None;
    let took = pair(&kiosks, &north.code(&code), || typed = Some(south.photograph("4-typed")));
    println!("| typed at the kiosk, in one network, to both pictures | {:.1} s |", took.as_secs_f64());
    sheet.extend(typed);
    sheet.push(north.photograph("5-confirmed-there"));
    sheet.push(south.photograph("6-confirmed-here"));
    let small: Vec<_> = sheet.iter().map(|picture| picture.scaled(420)).collect();
    Picture::sheet(&small, 2).unwrap().save(&PathBuf::from("target/pairing/sheet.png")).unwrap();
    for log in kiosks.iter().map(Kiosk::log) {
        assert!(!log.contains(&code) && !log.contains(&own), "a code is a secret");
    }
}

/// Neither listens anywhere.
fn pair_through(key: &str, url: &str) {
    let Some(screens) = screens() else { return };
    let mut sites = ["North", "South"].into_iter();
    let kiosks = screens.map(|server| {
        Kiosk::start(server, sites.next().unwrap(), vec![], |config| {
            config.status.listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            config.signaling.listen.clear();
            config.discovery.enabled = false;
            config.link.addresses = vec![[127, 0, 0, 1].into()];
            match key {
                "hub" => config.signaling.hub = url.into(),
                _ => config.signaling.broker = url.into(),
            }
        })
    });
    let code = kiosks[0].code("");
    kiosks[1].until("the slate", || kiosks[1].server.look().is_some_and(|shot| shot.bright() > 1000));
    let slate = kiosks[0].photograph(&format!("{key}-slate"));
    assert_eq!(scanned(&slate), [format!("screen-portal pair {code}")], "no address leads past the {key}");
    kiosks[1].press("Return");
    let took = pair(&kiosks, &code, || {});
    println!("| typed at the kiosk, through a {key}, to both pictures | {:.1} s |", took.as_secs_f64());
}

#[test]
fn a_code_typed_at_the_kiosk_pairs_through_a_hub() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = hub::Config { listen: "127.0.0.1:0".parse().unwrap(), ..hub::Config::default() };
    let hub = runtime.block_on(async { hub::start(&config, folder.path()).unwrap() });
    pair_through("hub", &format!("ws://{}/", hub.address()));
}

#[test]
fn a_code_typed_at_the_kiosk_pairs_through_a_broker() {
    let Some(broker) = broker() else { return };
    pair_through("broker", &broker.url());
}
