//! Two portals, each with an X server in memory and a probe in front of it.

use crate::probe::Probe;
use crate::{Tools, Trouble};
use screen_portal::capture::Kind;
use screen_portal::config::Config;
use screen_portal::demo::{Plan, Portal, Screen, Status, Window, pair};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long two portals may take to show each other before the measurement is given up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is measured: the picture, the windows, and what is around them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Size of the sent picture.
    pub video: (u32, u32),
    /// The encoder's bitrate.
    pub bitrate_bps: u32,
    /// Size of each window; `None` for portals without windows.
    pub window: Option<(u32, u32)>,
    /// How many copies of A's screen are kept for comparing: one each half second, from the start on.
    pub grabs: u32,
    /// Network namespaces that the portals live in, with the address of each.
    pub namespaces: Option<[(String, String); 2]>,
    /// Where signalling listens in a namespace: two pairs of portals need two.
    pub signaling_port: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            video: (1280, 720),
            bitrate_bps: 2_500_000,
            window: Some((1280, 720)),
            grabs: 0,
            namespaces: None,
            signaling_port: 7413,
        }
    }
}

/// Everything that runs. Ends when dropped.
pub struct Rig {
    /// How each portal is started, to start it again.
    pub plans: [Plan; 2],
    /// The portals; `None` before the first start and after [`Rig::kill`].
    pub portals: [Option<Portal>; 2],
    /// What watches their screens; empty without windows.
    pub probes: Vec<Probe>,
    /// What the portals send, for people.
    pub source: String,
    /// Where copies of the screens are.
    pub grabs: PathBuf,
    _screens: Vec<Screen>,
}

/// The film of this size, if there is one.
pub fn film(tools: &Tools, video: (u32, u32)) -> Option<PathBuf> {
    let path = tools.films.as_ref()?.join(format!("{}.y4m", video.1));
    path.exists().then_some(path)
}

impl Rig {
    /// Screens, probes and configurations; the portals are not started yet.
    pub fn prepare(tools: &Tools, setup: &Setup) -> Result<Self, Trouble> {
        if tools.folder.exists() {
            std::fs::remove_dir_all(&tools.folder)?;
        }
        std::fs::create_dir_all(&tools.folder)?;
        let folder = tools.folder.canonicalize()?;

        let mut base = Config::default();
        base.encode.bitrate_bps = setup.bitrate_bps;
        (base.source.width, base.source.height) = setup.video;
        base.source.time_code = true;
        base.source.kind = Kind::Scene;
        if let Some(film) = film(tools, setup.video) {
            base.source.kind = Kind::File;
            base.source.file = film;
        }
        let source = match base.source.kind {
            Kind::File => format!("film {}x{}", setup.video.0, setup.video.1),
            _ => format!("painted landscape {}x{}, no film given", setup.video.0, setup.video.1),
        };
        // Nothing but the far end's picture, at a known place.
        base.display.self_view = false;
        base.display.overlays = false;
        if let Some(size) = setup.window {
            Window { position: Some((0, 0)), size, decorations: false }.apply(&mut base.display);
        }
        let mut configs = pair(&base, ["A", "B"], &folder)?;
        if let Some([(_, first), (_, second)]) = &setup.namespaces {
            let port = setup.signaling_port;
            configs[0].signaling.listen = format!("{first}:{port}");
            configs[1].signaling.listen = format!("{second}:{port}");
            configs[1].signaling.dial = format!("{first}:{port}");
            // Whatever the namespace has.
            configs.iter_mut().for_each(|config| config.link.addresses.clear());
        }

        let (mut screens, mut probes, mut plans) = (vec![], vec![], vec![]);
        let grabs = folder.join("grabs");
        for (n, config) in configs.into_iter().enumerate() {
            let name = config.site.name.to_lowercase();
            let mut environment = vec![];
            if let Some((width, height)) = setup.window {
                let framebuffer = folder.join(format!("screen-{name}"));
                std::fs::create_dir_all(&framebuffer)?;
                let screen = match Screen::start(width, height, &framebuffer, Some(&framebuffer)) {
                    Err(error @ screen_portal::demo::Error::NoXvfb) => return Err(Trouble::Skipped(error.to_string())),
                    started => started?,
                };
                environment.push(("DISPLAY".to_string(), screen.display().to_string()));
                let grabs = (setup.grabs > 0 && n == 0).then_some((grabs.as_path(), setup.grabs));
                let tools = Tools { folder: folder.clone(), ..tools.clone() };
                probes.push(Probe::start(&tools, &name, &framebuffer, width, grabs)?);
                screens.push(screen);
            }
            let wrapper = setup
                .namespaces
                .as_ref()
                .map(|namespaces| ["ip", "netns", "exec", &namespaces[n].0].map(String::from).to_vec());
            plans.push(Plan {
                executable: tools.program.clone(),
                wrapper: wrapper.unwrap_or_default(),
                config,
                headless: setup.window.is_none(),
                environment,
            });
        }
        let plans = plans.try_into().map_err(|_| Trouble::Failed("not two portals".into()))?;
        Ok(Self { plans, portals: [None, None], probes, source, grabs, _screens: screens })
    }

    /// Starts one portal.
    pub fn start(&mut self, n: usize) -> Result<(), Trouble> {
        self.portals[n] = Some(Portal::start(&self.plans[n])?);
        Ok(())
    }

    /// Ends one portal as a power cut would.
    pub fn kill(&mut self, n: usize) {
        if let Some(mut portal) = self.portals[n].take() {
            portal.child.kill();
        }
    }

    /// What one portal says of itself.
    pub fn status(&self, n: usize) -> Option<Status> {
        self.portals[n].as_ref()?.status()
    }

    /// Starts both and waits until each shows the other.
    pub fn start_both(&mut self) -> Result<(), Trouble> {
        self.start(0)?;
        self.start(1)?;
        let until = Instant::now() + PATIENCE;
        for n in 0..2 {
            while !self.has_picture(n) {
                if let Some(portal) = &mut self.portals[n] {
                    portal.child.check()?;
                }
                if Instant::now() > until {
                    return Err(self.no_picture(n));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Says what the portal says, when its picture does not come.
    pub fn no_picture(&self, n: usize) -> Trouble {
        let said = self.status(n).map_or("it does not answer".into(), |status| {
            let view = status.view;
            format!("link {:?}, slate {:?}, camera {:?}, {:?}", view.link, view.slate, view.camera, view.trouble)
        });
        let log = self.portals[n].as_ref().map_or(String::new(), |portal| portal.child.log_tail());
        Trouble::Failed(format!("portal {} shows no picture: {said}; its log ends with:\n{log}", ["A", "B"][n]))
    }

    fn has_picture(&self, n: usize) -> bool {
        match self.probes.get(n) {
            Some(probe) => !probe.seen().is_empty(),
            None => self.status(n).is_some_and(|status| status.figures.first_picture_ms.is_some()),
        }
    }
}
