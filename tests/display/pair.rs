//! Two portals as programs: one with a window, one without, each sending a pattern with a time code.

use super::screens::Screen;
use screen_portal::capture::Kind;
use screen_portal::config::Config;
use screen_portal::demo::{Plan, Portal, Status, pair};
use screen_portal::display::Fit;
use screen_portal::ops::Slate;
use std::time::{Duration, Instant};

/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// A picture older than this is not the right one.
const FRESH: Duration = Duration::from_millis(1500);

/// The portal under test is the near one.
pub struct Pair {
    pub near: Portal,
    pub far: Portal,
    pub plan: Plan,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// Starts both; the near one looks for this screen.
    pub fn start(screen: &impl Screen) -> Self {
        Self::with(screen, |_| {})
    }

    /// The same, with the near one's configuration changed.
    pub fn with(screen: &impl Screen, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut base = Config::default();
        base.source.kind = Kind::Pattern;
        (base.source.width, base.source.height, base.source.fps, base.source.time_code) = (640, 360, 15, true);
        base.display.fit = Fit::Contain;
        base.display.self_view = false;
        let [mut near, far] = pair(&base, ["Harbour", "Hilltop"], folder.path()).unwrap();
        change(&mut near);
        let plan = |config, headless, environment| Plan {
            executable: env!("CARGO_BIN_EXE_screen-portal").into(),
            wrapper: vec![],
            config,
            headless,
            environment,
        };
        let far = Portal::start(&plan(far, true, vec![])).unwrap();
        let plan = plan(near, false, screen.environment());
        let near = Portal::start(&plan).unwrap();
        Self { near, far, plan, _folder: folder }
    }

    /// What the near portal has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.plan.config.data.folder.join("portal.log")).unwrap_or_default()
    }

    /// How often the near portal has logged this.
    pub fn logged(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Waits until a picture that was taken after `since` is on the screen; says how long after `since` that was.
    pub fn until_right(&self, screen: &impl Screen, since: Instant) -> Duration {
        let start = Instant::now();
        loop {
            let age = screen.look().and_then(|shot| shot.age());
            let now = Instant::now();
            if age.is_some_and(|age| age < FRESH && age < now - since) {
                return now - since;
            }
            assert!(start.elapsed() < PATIENCE, "no fresh picture ({age:?}):\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the near portal presents new pictures, by its own account: for screens that cannot be looked at.
    pub fn until_presented(&self, since: Instant) -> Duration {
        let start = Instant::now();
        let presented = |status: &Status| status.figures.incoming.presented;
        let before = self.near.status().as_ref().map(presented);
        loop {
            if let Some(status) = self.near.status()
                && status.view.slate == Slate::Hidden
                && presented(&status) > before.unwrap_or(0)
            {
                return since.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "nothing is presented:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the far portal sees the near one.
    pub fn until_seen(&self) {
        let start = Instant::now();
        while self.far.status().is_none_or(|status| status.view.slate != Slate::Hidden) {
            assert!(start.elapsed() < PATIENCE, "the far end does not see us:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the far portal has missed the near one and sees it again; says how long after `since` both were.
    pub fn missed(&self, since: Instant) -> (Duration, Duration) {
        while self.far.status().is_none_or(|status| status.view.slate == Slate::Hidden) {
            assert!(since.elapsed() < PATIENCE, "the far end was not told:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        let gone = since.elapsed();
        self.until_seen();
        (gone, since.elapsed())
    }

    /// Windows that the near portal has made.
    pub fn windows(&self) -> u64 {
        self.near.status().expect("the near portal answers").figures.link.display_windows
    }

    /// Pictures of the near portal that the far one has presented in this time.
    pub fn seen_within(&self, time: Duration) -> u64 {
        // A page may be late on a busy machine; a portal that does not answer at all is another matter.
        let presented = || {
            let start = Instant::now();
            loop {
                if let Some(status) = self.far.status() {
                    return status.figures.incoming.presented;
                }
                assert!(start.elapsed() < PATIENCE, "the far portal does not answer");
            }
        };
        let before = presented();
        std::thread::sleep(time);
        presented() - before
    }

    /// Processor time that the near portal's process has used, whatever it has begun again in.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.near.child.id())).unwrap_or_default();
        // Fields 14 and 15, in hundredths of a second, after the name in brackets (proc(5)).
        let ticks: u64 = stat
            .rsplit(") ")
            .next()
            .map_or(0, |rest| rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum());
        Duration::from_millis(10 * ticks)
    }

    /// Asks the near portal to end; says after how long it did, and with which exit code.
    pub fn ask_to_end(&mut self) -> (Duration, Option<i32>) {
        let start = Instant::now();
        super::screens::signal_to(self.near.child.id(), libc::SIGTERM);
        let ended = self.near.child.wait(Duration::from_secs(5)).expect("it ends");
        (start.elapsed(), ended.code())
    }
}

/// A line of the table of faults.
pub fn row(fault: &str, back: Duration, meanwhile: &str) {
    println!("| {fault} | {:.1} s | {meanwhile} |", back.as_secs_f64());
}
