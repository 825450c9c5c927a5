//! Whether the lens is covered: a pure policy over what is measured of the pictures.
//!
//! | | |
//! |---|---|
//! | suspected | the detail falls below a seventh of what this scene usually has; or, where the scene never has any (a white wall), it becomes dark and without detail at once |
//! | covered | suspected for 0.4 s without a break |
//! | ended | a third of the usual detail, or half the usual light, is back for 0.3 s |
//!
//! *Usual* is the least that is usual, the scene without people: it follows downwards within half a minute; upwards
//! within half an hour, and then to the least of the last one or two minutes, so that a crowd before a white wall does
//! not become the wall; and not at all while something is suspected. So dusk, snow and fog, which take minutes, move
//! what is usual and are never sudden; somebody who goes away from a white wall leaves what was there before; people
//! who pass, a light that is switched and the camera's exposure leave more than a seventh. Where it was dark and the
//! light comes, what is usual is learned anew, as at the start: neither night nor a hand that was on the lens while the
//! portal started leave it blind. What ends by itself does; what does not, or comes again and again, is taken for the
//! scene after a while:
//!
//! | what is left in the picture | for at most, in all |
//! |---|---|
//! | some detail: a scene that has changed (a camera that was turned), or a bad cover | 1 min |
//! | none, and bright: a sheet of paper, or a camera that was turned to a white wall | 10 min |
//! | none, and dark: covered, or night without a lamp. Nothing can be recognised in it, blurred or not, and the words say both | no limit |

use std::time::{Duration, Instant};

/// What is measured of a picture; see [`super::Thumbnail`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sight {
    /// The share of the picture in which something is to be seen, 0 to 1.
    pub detail: f32,
    /// Mean luma, 0 (black) to 1 (white).
    pub brightness: f32,
}

/// So long after the first picture, the camera's exposure is settled, noise is smoothed, and who stood there at the
/// start has moved: the least that was seen in the second half of it is the usual.
const SETTLED: Duration = Duration::from_secs(10);
/// How long something must be suspected.
const SURE: Duration = Duration::from_millis(400);
/// How long the scene must be back.
const BACK: Duration = Duration::from_millis(300);
/// The share of the usual detail below which the lens is suspected to be covered, and above which it is not any more.
const LOST: f32 = 0.15;
const REGAINED: f32 = 0.33;
/// A scene whose detail is usually less has none that could be lost.
const FAINT: f32 = 0.02;
/// Where there is never detail: as dark as this, and a fraction of the usual light.
const DARK: f32 = 0.10;
const DIMMED: f32 = 0.35;
/// As bright as this, there is light.
const LIT: f32 = 0.20;
/// How fast the usual follows, in seconds.
const RISES_IN: f32 = 1800.0;
const FALLS_IN: f32 = 20.0;
/// The least is looked for in spans of so long.
const SPAN: Duration = Duration::from_secs(60);
/// The share of the usual detail from which on there is something in the picture nevertheless.
const SOMETHING: f32 = 0.05;
const LONGEST_WITH_SOMETHING: f32 = 60.0;
const LONGEST_BRIGHT: f32 = 600.0;
/// How much of the time that counts against a limit is forgiven for each second in which all is well.
const FORGIVEN: f32 = 0.2;
/// A longer gap between two pictures says nothing about the time between them.
const LONGEST_STEP: f32 = 0.5;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    began: Option<Instant>,
    usual: Sight,
    last: Option<Instant>,
    suspected: Option<Instant>,
    covered: bool,
    regained: Option<Instant>,
    least: Least,
    /// Since when there is light where it is usually dark.
    lit: Option<Instant>,
    /// Seconds for which it has been covered lately.
    spent_s: f32,
}

impl Judge {
    /// Takes in what a picture taken at `now` looked like. Whether the lens is covered.
    pub fn judge(&mut self, sight: Sight, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        let running = now.saturating_duration_since(began);
        if running < SETTLED {
            let learns = running >= SETTLED / 2;
            if !learns || sight.detail < self.usual.detail {
                self.usual = sight;
            }
            self.last = Some(now);
            return false;
        }
        let usual = self.usual;
        let step = self.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let step = step.as_secs_f32().min(LONGEST_STEP);
        let least = if self.covered { 0.0 } else { self.least.of(sight.detail, now) };
        if self.covered {
            self.spent_s += step;
            if is_back(sight, usual) {
                let since = *self.regained.get_or_insert(now);
                if now.saturating_duration_since(since) >= BACK {
                    (self.covered, self.regained) = (false, None);
                }
            } else {
                self.regained = None;
                if longest(sight, usual).is_some_and(|longest_s| self.spent_s >= longest_s) {
                    // It is the scene now.
                    self.learn_anew();
                }
            }
        } else if is_lost(sight, usual) {
            let since = *self.suspected.get_or_insert(now);
            if now.saturating_duration_since(since) >= SURE {
                (self.covered, self.suspected) = (true, None);
            }
        } else if self.is_lit(sight, now) {
            self.learn_anew();
        } else {
            self.suspected = None;
            self.spent_s = (self.spent_s - FORGIVEN * step).max(0.0);
            let seen = if sight.detail < usual.detail { sight.detail } else { least.max(usual.detail) };
            self.usual = Sight {
                detail: follow(usual.detail, seen, step),
                brightness: follow(usual.brightness, sight.brightness, step),
            };
        }
        self.covered
    }

    /// Whether the light has come where it is usually dark.
    fn is_lit(&mut self, sight: Sight, now: Instant) -> bool {
        if !is_dark(self.usual) || sight.brightness < LIT {
            self.lit = None;
            return false;
        }
        now.saturating_duration_since(*self.lit.get_or_insert(now)) >= BACK
    }

    /// From the next picture on, as at the start.
    fn learn_anew(&mut self) {
        *self = Self { spent_s: self.spent_s, ..Self::default() };
    }
}

/// The least of the last span and of this one.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    since: Option<Instant>,
    before: Option<f32>,
    now: f32,
}

impl Least {
    fn of(&mut self, detail: f32, now: Instant) -> f32 {
        match self.since {
            Some(since) if now.saturating_duration_since(since) < SPAN => self.now = self.now.min(detail),
            _ => *self = Self { since: Some(now), before: self.since.map(|_| self.now), now: detail },
        }
        self.before.map_or(self.now, |before| before.min(self.now))
    }
}

fn is_lost(sight: Sight, usual: Sight) -> bool {
    if usual.detail >= FAINT {
        return sight.detail < LOST * usual.detail;
    }
    is_dark(sight) && sight.brightness < DIMMED * usual.brightness
}

fn is_back(sight: Sight, usual: Sight) -> bool {
    if usual.detail >= FAINT {
        return sight.detail > REGAINED * usual.detail;
    }
    sight.brightness > 0.5 * usual.brightness || sight.detail > FAINT
}

fn is_dark(sight: Sight) -> bool {
    sight.brightness < DARK && sight.detail < FAINT / 2.0
}

/// For how many seconds what is seen is taken for a covered lens.
fn longest(sight: Sight, usual: Sight) -> Option<f32> {
    if sight.detail > (SOMETHING * usual.detail).max(FAINT / 4.0) {
        Some(LONGEST_WITH_SOMETHING)
    } else if is_dark(sight) {
        None
    } else {
        Some(LONGEST_BRIGHT)
    }
}

/// One step of the usual towards what is seen.
fn follow(usual: f32, seen: f32, step_s: f32) -> f32 {
    let within_s = if seen > usual { RISES_IN } else { FALLS_IN };
    usual + (seen - usual) * (1.0 - (-step_s / within_s).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds, then the detail and the brightness at their end; both go there evenly.
    type Part = (f32, f32, f32);

    /// Plays a story at 30 pictures a second; returns when it began to be covered and when it ended, in seconds.
    fn covered(story: &[Part]) -> Vec<(f32, f32)> {
        let (mut judge, start) = (Judge::default(), Instant::now());
        let (mut second, mut from, mut found) = (0.0f32, None, Vec::new());
        for &(seconds, detail, brightness) in story {
            let (detail_from, brightness_from) = from.unwrap_or((detail, brightness));
            let pictures = (30.0 * seconds) as u32;
            for n in 0..pictures {
                let part = n as f32 / pictures as f32;
                let sight = Sight {
                    detail: detail_from + part * (detail - detail_from),
                    brightness: brightness_from + part * (brightness - brightness_from),
                };
                let at = second + n as f32 / 30.0;
                match (judge.judge(sight, start + Duration::from_secs_f32(at)), found.last_mut()) {
                    (true, Some((_, end))) if *end > at - 0.05 => *end = at,
                    (true, _) => found.push((at, at)),
                    (false, _) => {}
                }
            }
            second += seconds;
            from = Some((detail, brightness));
        }
        found
    }

    #[test]
    fn what_is_covered() {
        // About, the story after a minute of a usual room, for how many seconds it is covered, from the first second of
        // the story.
        type Scenario = (&'static str, &'static [Part], &'static [(f32, f32)]);
        #[rustfmt::skip]
        let table: &[Scenario] = &[
            ("a hand on the lens for five seconds", &[(0.1, 0.0, 0.05), (5.0, 0.0, 0.05), (0.1, 0.2, 0.5), (9.0, 0.2, 0.5)], &[(0.45, 5.4)]),
            ("a phone in front of it, bright", &[(0.3, 0.01, 0.6), (5.0, 0.01, 0.6), (0.3, 0.2, 0.5), (9.0, 0.2, 0.5)], &[(0.6, 5.8)]),
            ("a tape for a day", &[(1.0, 0.0, 0.02), (86_400.0, 0.0, 0.02)], &[(1.3, 86_401.0)]),
            ("a bright sheet of paper", &[(0.2, 0.0, 0.8), (3600.0, 0.0, 0.8)], &[(0.55, 600.6)]),
            ("turned to a scene with hardly anything in it", &[(0.2, 0.015, 0.5), (600.0, 0.015, 0.5)], &[(0.55, 60.6)]),
            ("a shutter of a third of a second", &[(0.05, 0.0, 0.02), (0.3, 0.0, 0.02), (0.05, 0.2, 0.5), (5.0, 0.2, 0.5)], &[]),
            ("somebody passes close by", &[(0.5, 0.06, 0.3), (1.0, 0.06, 0.3), (0.5, 0.2, 0.5), (9.0, 0.2, 0.5)], &[]),
            ("half the picture for an hour", &[(0.5, 0.1, 0.4), (3600.0, 0.1, 0.4)], &[]),
            ("the light goes out, the camera's exposure follows", &[(0.1, 0.02, 0.03), (0.5, 0.02, 0.05), (1.5, 0.1, 0.2), (600.0, 0.1, 0.2)], &[(0.45, 1.7)]),
            ("the light goes out, and the screen is light enough", &[(0.1, 0.05, 0.1), (600.0, 0.05, 0.1)], &[]),
            ("dusk within twenty minutes", &[(1200.0, 0.0, 0.02), (3600.0, 0.0, 0.02)], &[]),
            ("fog within three minutes", &[(180.0, 0.005, 0.7), (3600.0, 0.005, 0.7), (180.0, 0.2, 0.5)], &[]),
        ];
        for (about, story, expected) in table {
            let whole: Vec<Part> = [(60.0, 0.2, 0.5)].into_iter().chain(story.iter().copied()).collect();
            let found: Vec<_> = covered(&whole).iter().map(|(from, to)| (from - 60.0, to - 60.0)).collect();
            let near = |(a, b): (&(f32, f32), &(f32, f32))| (a.0 - b.0).abs() < 0.3 && (a.1 - b.1).abs() < 0.5;
            assert!(found.len() == expected.len() && found.iter().zip(*expected).all(near), "{about}: {found:?}");
        }
    }

    #[test]
    fn a_white_wall_has_nothing_to_lose_but_its_light() {
        let wall = (60.0, 0.001, 0.7);
        assert_eq!(covered(&[wall, (0.2, 0.0, 0.8), (60.0, 0.0, 0.8)]), []);
        assert_eq!(covered(&[wall, (3.0, 0.1, 0.5), (0.5, 0.001, 0.7), (60.0, 0.001, 0.7)]), [], "somebody passed");
        let crowd = [(0.5, 0.1, 0.5), (6.0, 0.1, 0.5), (0.5, 0.001, 0.7), (1.0, 0.001, 0.7)].repeat(450);
        assert_eq!(covered(&[vec![wall], crowd].concat()), [], "an hour of people, one after the other");
        let found = covered(&[wall, (0.2, 0.0, 0.03), (5.0, 0.0, 0.03), (0.2, 0.001, 0.7), (9.0, 0.001, 0.7)]);
        assert!(matches!(found[..], [(from, to)] if from < 61.0 && (65.0..66.0).contains(&to)), "{found:?}");
    }

    /// Somebody stands before a white wall when the portal starts: what he takes away with him was never the scene's.
    #[test]
    fn a_false_alarm_that_comes_again_and_again_ends() {
        let mut story = vec![(15.0, 0.1, 0.5)];
        for _ in 0..30 {
            story.extend([(1.0, 0.0, 0.7), (40.0, 0.0, 0.7), (1.0, 0.1, 0.5), (40.0, 0.1, 0.5)]);
        }
        let found = covered(&story);
        let seconds: f32 = found.iter().map(|(from, to)| to - from).sum();
        assert!((30.0..900.0).contains(&seconds), "{seconds}: {found:?}");
        assert!(found.last().unwrap().1 < 2000.0, "{found:?}");
    }

    #[test]
    fn nothing_is_known_at_the_start() {
        assert_eq!(covered(&[(3600.0, 0.0, 0.02)]), [], "dark from the beginning: night, for all we know");
    }

    #[test]
    fn the_first_light_after_a_night_is_learned_from() {
        // About, what is before; then a minute of light, and a hand for five seconds from the 45th on.
        let table: [(&str, &[Part]); 3] = [
            ("dark from the start", &[(300.0, 0.0, 0.02)]),
            ("a hand on the lens while the portal starts", &[(15.0, 0.0, 0.05)]),
            (
                "an evening, a night and a dawn",
                &[(60.0, 0.2, 0.5), (1200.0, 0.0, 0.02), (3600.0, 0.0, 0.02), (1200.0, 0.2, 0.5)],
            ),
        ];
        for (about, before) in table {
            let morning = [
                (0.5, 0.2, 0.5),
                (44.5, 0.2, 0.5),
                (0.1, 0.0, 0.05),
                (5.0, 0.0, 0.05),
                (0.1, 0.2, 0.5),
                (9.0, 0.2, 0.5),
            ];
            let begin: f32 = before.iter().map(|(seconds, ..)| seconds).sum();
            let story: Vec<Part> = before.iter().copied().chain(morning).collect();
            let found = covered(&story);
            let [(from, to)] = found[..] else { panic!("{about}: {found:?}") };
            assert!(
                (45.0..46.0).contains(&(from - begin)) && (50.0..51.0).contains(&(to - begin)),
                "{about}: {found:?}"
            );
        }
        let lamps: Vec<Part> = [(60.0, 0.0, 0.02), (0.1, 0.1, 0.3), (1.0, 0.1, 0.3), (0.1, 0.0, 0.02)].repeat(40);
        assert_eq!(covered(&lamps), [], "headlights each minute");
    }
}
