//! The settings page as a model: what is on it, and what keys do there. Pure; [`super::overlays`] paints it.

use super::{Fit, Live};
use crate::ops::{Command, Value, View};
use std::time::{Duration, Instant};

/// A line of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Name,
    Camera,
    Fit,
    Rotation,
    SelfView,
    Network,
    FarEnd,
}

const ROWS: [Row; 7] = [Row::Name, Row::Camera, Row::Fit, Row::Rotation, Row::SelfView, Row::Network, Row::FarEnd];
/// The question whether the far end is to be forgotten stands for so long.
const ASKED_FOR: Duration = Duration::from_secs(10);
/// As many characters as a site's name may have.
const LONGEST_NAME: usize = 64;
/// As many characters of a value as fit: two lines, on a screen that stands upright some more.
const FITS: usize = 80;
/// As many characters of the far end's name as fit: a line on a screen that lies.
const NAME_FITS: usize = 40;
/// As many characters of a note as fit into a line on a screen that lies; what does not takes the next one.
const LINE_FITS: usize = 60;
/// Lines of notes that fit, below a single line of the page.
const LINES_FIT: usize = 12;
/// A note has no more lines than this.
const LONGEST_NOTE: usize = 4;
/// Notes, with the one that says how many more there are.
const MOST_NOTES: usize = 5;

/// A key, as far as the page is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// To the line above.
    Up,
    /// To the line below.
    Down,
    /// The value before.
    Left,
    /// The value after.
    Right,
    /// Edit, take what was edited, or do it.
    Enter,
    /// Leave what is edited as it was, or close the page.
    Escape,
    /// Take the last character away.
    Backspace,
    /// A character.
    Text(char),
}

impl Press {
    /// Whether a key that is held down does it again and again. Each change of a value is written to the disk and done,
    /// which may take a camera seconds: never at the rate of a keyboard.
    pub fn goes_on(self) -> bool {
        matches!(self, Self::Up | Self::Down | Self::Backspace | Self::Text(_))
    }
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing beyond the page.
    Stay,
    /// To close the page.
    Close,
    /// Something of the portal.
    Do(Command),
}

/// Where somebody is on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    row: usize,
    /// The name while it is written.
    writing: Option<String>,
    /// Since when it is asked whether the far end is to be forgotten.
    asking: Option<Instant>,
}

/// A line as it is painted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub title: &'static str,
    /// Its value.
    pub value: String,
    /// Whether the keys are for it.
    pub is_chosen: bool,
}

impl Page {
    /// Takes a key.
    pub fn press(&mut self, press: Press, live: &Live, now: Instant) -> Outcome {
        self.forget_question(now);
        // Whatever is not the answer takes the question back, and Escape does nothing else.
        if self.asking.take().is_some() {
            match press {
                Press::Enter if can_be_forgotten(live) => return Outcome::Do(Command::Unpair),
                Press::Escape => return Outcome::Stay,
                _ => {}
            }
        }
        if let Some(name) = &mut self.writing {
            match press {
                Press::Text(character) if !character.is_control() && name.chars().count() < LONGEST_NAME => {
                    name.push(character);
                }
                Press::Backspace => drop(name.pop()),
                Press::Escape => self.writing = None,
                Press::Enter => {
                    let name = self.writing.take().unwrap_or_default();
                    return set("site", "name", Value::Text(name));
                }
                _ => {}
            }
            return Outcome::Stay;
        }
        match press {
            Press::Up => self.row = self.row.saturating_sub(1),
            Press::Down => self.row = (self.row + 1).min(ROWS.len() - 1),
            Press::Escape => return Outcome::Close,
            Press::Left => return self.change(-1, live),
            Press::Right => return self.change(1, live),
            Press::Enter => match ROWS[self.row] {
                Row::Name => self.writing = Some(live.site.clone()),
                Row::Network => return Outcome::Do(Command::TestNetwork),
                Row::FarEnd => self.asking = can_be_forgotten(live).then_some(now),
                _ => return self.change(1, live),
            },
            Press::Backspace | Press::Text(_) => {}
        }
        Outcome::Stay
    }

    fn change(&self, by: isize, live: &Live) -> Outcome {
        match ROWS[self.row] {
            Row::Camera => {
                let choices = cameras(live);
                let now = choices.iter().position(|camera| *camera == live.camera).unwrap_or(0);
                set("source", "camera", Value::Text(turned(&choices, now, by).to_owned()))
            }
            Row::Fit => {
                let other = if live.config.fit == Fit::Cover { "contain" } else { "cover" };
                set("display", "fit", Value::Text(other.into()))
            }
            Row::Rotation => {
                let choices = [0, 90, 180, 270];
                let now = choices.iter().position(|degrees| *degrees == live.config.rotate_deg).unwrap_or(0);
                set("display", "rotate_deg", Value::Number(turned(&choices, now, by)))
            }
            Row::SelfView => set("display", "self_view", Value::Flag(!live.config.self_view)),
            Row::Name | Row::Network | Row::FarEnd => Outcome::Stay,
        }
    }

    /// Somebody has pressed a key that is none for the page.
    pub fn take_question_back(&mut self) {
        self.asking = None;
    }

    /// Takes a question back that has stood for too long: whoever comes later does not answer it. Whether there was one.
    pub fn forget_question(&mut self, now: Instant) -> bool {
        self.asking.take_if(|since| now.saturating_duration_since(*since) >= ASKED_FOR).is_some()
    }

    /// Whether something is half done: a name is being written, or a question stands.
    pub fn is_halfway(&self) -> bool {
        self.is_writing() || self.asking.is_some()
    }

    /// Whether a name is being written: then letters are letters.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// The page as it is painted. The far end has the name that it tells itself, once it did.
    pub fn lines(&self, live: &Live, view: &View) -> Vec<Line> {
        let line = |(n, row): (usize, Row)| {
            let (title, value) = match row {
                Row::Name => match &self.writing {
                    // The end of it, where the writing goes on.
                    Some(name) => ("Name", format!("{}|", end_of(name))),
                    None => ("Name", cut(&live.site, FITS)),
                },
                Row::Camera if live.camera.is_empty() => ("Camera", "the first that works".to_owned()),
                Row::Camera => ("Camera", cut(&live.camera, FITS)),
                Row::Fit => {
                    let words = if live.config.fit == Fit::Cover { "fills the screen" } else { "shows all of it" };
                    ("Picture", words.to_owned())
                }
                Row::Rotation => ("Rotation", format!("{}°", live.config.rotate_deg)),
                Row::SelfView => ("Own picture", if live.config.self_view { "shown" } else { "hidden" }.to_owned()),
                Row::Network if live.testing => ("Network", "testing …".to_owned()),
                Row::Network if live.network.is_empty() => ("Network", "press Enter to test".to_owned()),
                Row::Network => {
                    let good = live.network.iter().all(|(good, _)| *good);
                    ("Network", if good { "no problem found" } else { "a problem was found" }.to_owned())
                }
                Row::FarEnd => ("Paired with", self.far_end(live, view)),
            };
            Line { title, value, is_chosen: n == self.row }
        };
        let shown = |(n, _): &(usize, Row)| !self.has_much_to_say(live) || *n == self.row;
        ROWS.into_iter().enumerate().filter(shown).map(line).collect()
    }

    fn far_end(&self, live: &Live, view: &View) -> String {
        let Some(far_end) = &live.far_end else { return "nobody".to_owned() };
        let name = view.far_site.as_ref().unwrap_or(&far_end.name);
        match self.asking {
            Some(_) => format!("Enter again: forget {}. Both must be paired anew.", cut(name, FITS)),
            None => cut(name, NAME_FITS),
        }
    }

    /// Whether what the test of the network found is shown, in the place of the other lines: it has much to say.
    fn is_on_findings(&self, live: &Live) -> bool {
        ROWS[self.row] == Row::Network && !live.network.is_empty()
    }

    /// Whether only the chosen line is shown: what it says, or asks, takes the room of the others, on every shape of screen.
    fn has_much_to_say(&self, live: &Live) -> bool {
        let told_much = ROWS[self.row] == Row::FarEnd && live.notice.chars().count() > LINE_FITS;
        self.is_on_findings(live) || self.asking.is_some() || told_much
    }

    /// The small print below the lines: what came of the last change, or of the test.
    pub fn notes(&self, live: &Live) -> Vec<String> {
        if self.is_on_findings(live) {
            return findings(&live.network);
        }
        if self.asking.is_some() {
            return Vec::new();
        }
        let far_end = live.far_end.as_ref().filter(|_| ROWS[self.row] == Row::FarEnd);
        let hint = far_end.map(|far_end| match far_end.by_code {
            true => "Enter: forget it, to pair this portal anew".to_owned(),
            false => "Set by the configuration (pairing.far_end), which alone can change it".to_owned(),
        });
        let notice = (!live.notice.is_empty()).then(|| cut(&live.notice, LONGEST_NOTE * LINE_FITS));
        // There is room for one of the two where the notice is long; and it says what has just happened.
        let hint = hint.filter(|_| live.notice.chars().count() <= LINE_FITS);
        hint.into_iter().chain(notice).collect()
    }
}

/// Whether the far end is one that was paired by a code. What the configuration says is not taken back here.
fn can_be_forgotten(live: &Live) -> bool {
    live.far_end.as_ref().is_some_and(|far_end| far_end.by_code)
}

/// What the test of the network found, problems first, as far as there is room.
fn findings(network: &[(bool, String)]) -> Vec<String> {
    let note = |(good, words): &(bool, String)| {
        format!("{}  {}", if *good { "ok" } else { "!!" }, cut(words, LONGEST_NOTE * LINE_FITS - 4))
    };
    let (good, bad): (Vec<_>, Vec<_>) = network.iter().partition(|(good, _)| *good);
    let mut notes: Vec<String> = bad.into_iter().chain(good).map(note).collect();
    let lines = |notes: &[String]| notes.iter().map(|note| note.chars().count().div_ceil(LINE_FITS)).sum::<usize>();
    if notes.len() > MOST_NOTES || lines(&notes) > LINES_FIT {
        while notes.len() >= MOST_NOTES || lines(&notes) >= LINES_FIT {
            notes.pop();
        }
        notes.push(format!("{} more: `screen-portal check` has them all", network.len() - notes.len()));
    }
    notes
}

fn set(section: &'static str, key: &'static str, value: Value) -> Outcome {
    Outcome::Do(Command::Set(section, key, value))
}

/// No wish, then those that there are, and the configured one wherever it is.
fn cameras(live: &Live) -> Vec<String> {
    let mut choices = vec![String::new()];
    choices.extend(live.cameras.iter().cloned());
    if !choices.contains(&live.camera) {
        choices.push(live.camera.clone());
    }
    choices
}

fn turned<T: Clone>(choices: &[T], now: usize, by: isize) -> T {
    let next = (now as isize + by).rem_euclid(choices.len().max(1) as isize);
    choices[next as usize].clone()
}

fn cut(text: &str, fits: usize) -> String {
    if text.chars().count() <= fits { text.to_owned() } else { text.chars().take(fits - 1).chain(['…']).collect() }
}

fn end_of(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(FITS - 1);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::FarEnd;

    fn live() -> Live {
        Live { site: "Harbour".into(), cameras: vec!["Door".into(), "Wide".into()], ..Live::default() }
    }

    /// Goes down so many lines and presses the keys; the last outcome.
    fn at(row: usize, presses: &[Press], live: &Live) -> Outcome {
        let mut page = Page::default();
        let now = Instant::now();
        for _ in 0..row {
            page.press(Press::Down, live, now);
        }
        presses.iter().map(|press| page.press(*press, live, now)).last().unwrap()
    }

    /// Paired with Hilltop, by a code or by the configuration.
    fn paired(by_code: bool) -> Live {
        Live { far_end: Some(FarEnd { name: "Hilltop".into(), by_code }), ..live() }
    }

    /// What the page says of the far end, and below.
    fn says(page: &Page, live: &Live) -> (String, Vec<String>) {
        (page.lines(live, &View::default()).pop().unwrap().value, page.notes(live))
    }

    #[test]
    fn each_line_changes_its_key() {
        use Press::{Backspace, Enter, Escape, Left, Right, Text};
        let live = live();
        let text = |text: &str| Value::Text(text.into());
        for (row, presses, outcome) in [
            (0, &[Enter, Backspace, Text('s'), Enter][..], set("site", "name", text("Harbous"))),
            (0, &[Enter, Text('x'), Escape], Outcome::Stay),
            (0, &[Right], Outcome::Stay),
            (1, &[Right], set("source", "camera", text("Door"))),
            (1, &[Left], set("source", "camera", text("Wide"))),
            (2, &[Enter], set("display", "fit", text("contain"))),
            (3, &[Left], set("display", "rotate_deg", Value::Number(270))),
            (3, &[Right], set("display", "rotate_deg", Value::Number(90))),
            (4, &[Right], set("display", "self_view", Value::Flag(false))),
            (5, &[Enter], Outcome::Do(Command::TestNetwork)),
            (5, &[Escape], Outcome::Close),
            (6, &[Enter, Enter], Outcome::Stay),
            (9, &[Escape], Outcome::Close),
        ] {
            assert_eq!(at(row, presses, &live), outcome, "{row} {presses:?}");
        }
    }

    #[test]
    fn the_far_end_is_forgotten_after_a_second_enter_and_by_no_other_keys() {
        use Press::{Backspace, Down, Enter, Escape, Left, Right, Text, Up};
        let (by_code, by_configuration) = (paired(true), paired(false));
        let unpair = Outcome::Do(Command::Unpair);
        for (presses, outcome) in [
            (&[Enter][..], Outcome::Stay),
            (&[Enter, Enter], unpair.clone()),
            // One answer to one question.
            (&[Enter, Enter, Enter], Outcome::Stay),
            (&[Enter, Escape], Outcome::Stay),
            (&[Enter, Escape, Escape], Outcome::Close),
            (&[Enter, Escape, Enter], Outcome::Stay),
            (&[Enter, Up, Down, Enter], Outcome::Stay),
            (&[Enter, Down, Enter], Outcome::Stay),
            (&[Enter, Left, Enter], Outcome::Stay),
            (&[Enter, Right, Enter], Outcome::Stay),
            (&[Enter, Backspace, Enter], Outcome::Stay),
            (&[Enter, Text('x'), Enter], Outcome::Stay),
            (&[Enter, Text('x'), Enter, Enter], unpair),
        ] {
            assert_eq!(at(6, presses, &by_code), outcome, "{presses:?}");
            let closes = outcome == Outcome::Close;
            let otherwise = if closes { Outcome::Close } else { Outcome::Stay };
            let presses: Vec<_> = presses.iter().copied().filter(|press| closes || *press != Escape).collect();
            assert_eq!(at(6, &presses, &by_configuration), otherwise, "the configuration pairs: {presses:?}");
        }
    }

    #[test]
    fn the_question_is_asked_in_words_and_stands_for_ten_seconds() {
        let (live, now) = (paired(true), Instant::now());
        let mut page = Page { row: 6, ..Page::default() };
        let plain = ("Hilltop".to_owned(), vec!["Enter: forget it, to pair this portal anew".to_owned()]);
        assert_eq!(says(&page, &live), plain);
        for (after_ms, outcome) in [(9_999, Outcome::Do(Command::Unpair)), (10_000, Outcome::Stay)] {
            page.take_question_back();
            page.press(Press::Enter, &live, now);
            let asked = "Enter again: forget Hilltop. Both must be paired anew.".to_owned();
            assert!(page.is_halfway() && says(&page, &live) == (asked, vec![]));
            assert_eq!(page.lines(&live, &View::default()).len(), 1, "nothing else matters then");
            assert_eq!(page.press(Press::Enter, &live, now + Duration::from_millis(after_ms)), outcome);
        }
        assert!(!page.forget_question(now + Duration::from_secs(11)), "asked anew");
        assert!(page.forget_question(now + Duration::from_secs(20)) && !page.is_halfway());
        assert_eq!(says(&page, &live), plain);
        // Meanwhile it was unpaired elsewhere, or the configuration names another one.
        for other in [paired(false), self::live()] {
            page.press(Press::Enter, &live, now);
            assert_eq!(page.press(Press::Enter, &other, now), Outcome::Stay);
        }
        let (value, notes) = says(&page, &paired(false));
        assert!(value == "Hilltop" && notes[0].contains("configuration"), "{notes:?}");
        assert_eq!(says(&page, &self::live()), ("nobody".to_owned(), vec![]));
        let refused = Live { notice: format!("Still paired: {}", "x".repeat(LINE_FITS)), ..live.clone() };
        assert_eq!(page.lines(&refused, &View::default()).len(), 1, "room for why");
        assert_eq!(Page::default().lines(&refused, &View::default()).len(), ROWS.len());
        let told = View { far_site: Some("Hill House".into()), ..View::default() };
        assert_eq!(page.lines(&live, &told)[6].value, "Hill House", "as it calls itself now");
    }

    #[test]
    fn what_is_written_is_bounded_and_letters_are_no_keys_then() {
        let live = live();
        let mut page = Page::default();
        let now = Instant::now();
        page.press(Press::Enter, &live, now);
        for _ in 0..200 {
            assert_eq!(page.press(Press::Text('é'), &live, now), Outcome::Stay);
        }
        page.press(Press::Text('\u{1b}'), &live, now);
        let Outcome::Do(Command::Set(_, _, Value::Text(name))) = page.press(Press::Enter, &live, now) else { panic!() };
        assert_eq!(name.chars().count(), LONGEST_NAME);
    }

    #[test]
    fn lines_fit() {
        let long = "x".repeat(300);
        let far_end = Some(FarEnd { name: long.clone(), by_code: true });
        let live =
            Live { site: long.clone(), camera: long.clone(), network: vec![(false, long); 9], far_end, ..live() };
        let (mut page, view) = (Page::default(), View::default());
        assert!(page.lines(&live, &view).iter().all(|line| line.value.chars().count() <= FITS));
        page.press(Press::Enter, &live, Instant::now());
        assert!(page.lines(&live, &view)[0].value.chars().count() <= FITS);
        assert_eq!(page.lines(&live, &view).iter().filter(|line| line.is_chosen).count(), 1);
        let at_network = Page { row: 5, ..Page::default() };
        let titles =
            |page: &Page, live: &Live| page.lines(live, &view).iter().map(|line| line.title).collect::<Vec<_>>();
        assert_eq!(titles(&at_network, &live), ["Network"], "room for what was found");
        assert_eq!(titles(&Page::default(), &live).len(), ROWS.len());
        let untested = Live { network: Vec::new(), ..live };
        assert_eq!(titles(&at_network, &untested).len(), ROWS.len());
        let notice = Page::default().notes(&Live { notice: "x".repeat(900), ..untested });
        assert!(notice[0].chars().count() <= LONGEST_NOTE * LINE_FITS);
    }

    #[test]
    fn what_a_test_found_fits_and_problems_come_first() {
        let found = |lengths: &[(bool, usize)]| {
            let network: Vec<_> = lengths.iter().map(|(good, length)| (*good, "x".repeat(*length))).collect();
            let notes = findings(&network);
            let lines: usize = notes.iter().map(|note| note.chars().count().div_ceil(LINE_FITS)).sum();
            assert!(notes.len() <= MOST_NOTES && lines <= LINES_FIT, "{lengths:?}: {lines} lines");
            notes
        };
        let four_long = [(true, 170), (true, 170), (false, 170), (true, 170)];
        let notes = found(&four_long);
        assert!(notes.len() == 4 && !notes.iter().any(|note| note.contains('…')), "whole");
        assert!(notes[0].starts_with("!!") && notes[1..].iter().all(|note| note.starts_with("ok")));
        assert_eq!(found(&[(true, 20); 5]).len(), 5);
        assert_eq!(found(&[(true, 20); 6])[4], "2 more: `screen-portal check` has them all");
        let notes = found(&[(true, 20), (false, 900), (false, 900), (false, 900)]);
        assert!(notes[0].contains('…') && notes[2].starts_with("2 more:"), "{notes:?}");
        assert!(found(&[]).is_empty());
    }
}
