//! Hours before the lens: whatever happens at a kiosk, at random, and how often that is taken for a covered lens.
//!
//! `SCREEN_PORTAL_LENS_HOURS=8 cargo test --release --no-default-features --lib life -- --nocapture` plays so many hours of each place; without
//! the variable it is ten minutes.

use super::material::{self, Light, Random};
use super::tests::{Found, dimmed, passing, play};

/// What may happen, how often on average in seconds, and for how long in seconds.
#[rustfmt::skip]
const EVENTS: [(&str, f32, [f32; 2]); 5] = [
    ("the lamp is switched",                       90.0, [10.0, 300.0]),
    ("somebody stands close",                     120.0, [3.0, 60.0]),
    ("something large stops before the camera",   300.0, [5.0, 120.0]),
    ("the camera looks for its focus",            200.0, [0.5, 2.0]),
    ("the exposure swings",                       150.0, [1.0, 6.0]),
];

/// What goes on: until when, and two numbers that say how.
type Going = (f32, f32, f32);

/// A place and its day, which takes an hour.
struct Life {
    place: Light,
    seed: u64,
    random: Random,
    going: [Option<Going>; EVENTS.len()],
    last: f32,
    counts: [u32; EVENTS.len()],
}

impl Life {
    fn at(&mut self, at: f32) -> Light {
        let step = (at - self.last).max(0.0);
        self.last = at;
        // The first quarter of a minute is for learning, as in a portal that has just started.
        for (n, (_, every_s, [least, most])) in EVENTS.iter().enumerate().filter(|_| at > 15.0) {
            let over = self.going[n].is_none_or(|(until, ..)| at >= until);
            if over && self.random.part() < step / every_s {
                let until = at + self.random.between(*least, *most);
                self.going[n] = Some((until, self.random.part(), self.random.part()));
                self.counts[n] += 1;
            } else if over {
                self.going[n] = None;
            }
        }
        let [lamp, close, large, focus, exposure] = self.going;
        let mut light = passing(self.place.clone(), at, self.seed);
        if let Some((_, x, clothes)) = close {
            material::person(&mut light, 0.3 + 0.4 * x, 2.0 + clothes, 0.05 + 0.7 * clothes, 0.1);
        }
        if let Some((_, part, value)) = large {
            material::obstacle(&mut light, 0.3 + 0.35 * part, 0.05 + 0.7 * value);
        }
        if let Some((until, strength, _)) = focus {
            material::out_of_focus(&mut light, (4.0 * strength * (until - at).min(1.0)) as usize);
        }
        // From day to night and back, to a fiftieth of the light; a lamp that leaves a tenth at least, one more stop of the exposure.
        let day = 0.02f32.powf(0.5 - 0.5 * (at * std::f32::consts::TAU / 3600.0).cos());
        let lamp = lamp.map_or(1.0, |(_, left, _)| 0.1f32.powf(left));
        let exposure = exposure.map_or(1.0, |(until, speed, _)| 2.0f32.powf((3.0 * speed * (until - at)).sin()));
        dimmed(light, day * lamp * exposure)
    }
}

#[test]
fn ordinary_life_is_rarely_taken_for_a_cover() {
    let hours: f32 =
        std::env::var("SCREEN_PORTAL_LENS_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(1.0 / 6.0);
    println!("place | hours | events | false alarms | blurred, s | least detail");
    let (mut alarms, mut blurred, mut played) = (0, 0.0, 0.0);
    for (about, place) in [
        ("a room", material::room as fn(u64) -> Light),
        ("another room, little in it", |seed| {
            let mut room = material::room(seed);
            material::fog(&mut room, 0.5);
            room
        }),
        ("a wall", |_| material::wall()),
    ] {
        // Another place each hour, and another life in it.
        let seconds = 3600.0 * hours;
        let (mut found, mut counts) = (Vec::<Found>::new(), [0; EVENTS.len()]);
        for hour in 0..hours.ceil() as u64 {
            let mut life = Life {
                place: place(hour + 1),
                seed: hour + 1,
                random: Random::new(1000 + hour),
                going: [None; EVENTS.len()],
                last: 0.0,
                counts: [0; EVENTS.len()],
            };
            let lasts = (seconds - 3600.0 * hour as f32).min(3600.0);
            found.push(play(lasts, hour + 1, |at| life.at(at)));
            counts.iter_mut().zip(life.counts).for_each(|(sum, count)| *sum += count);
        }
        let spans: Vec<_> =
            found.iter().enumerate().flat_map(|(n, found)| found.spans.iter().map(move |span| (n, span))).collect();
        let seconds_blurred: f32 = found.iter().map(Found::seconds).sum::<f32>() + 0.0;
        let least = found.iter().map(|found| found.least.detail).fold(1.0, f32::min);
        println!(
            "{about} | {hours:.2} | {} | {} | {seconds_blurred:.1} | {least:.4} {spans:?}",
            counts.iter().sum::<u32>(),
            spans.len()
        );
        (alarms, blurred, played) = (alarms + spans.len(), blurred + seconds_blurred, played + hours);
    }
    println!("together | {played:.2} | | {alarms} | {blurred:.1} |");
    assert!(
        alarms as f32 <= 1.0 + 0.5 * played && blurred <= 10.0 + 5.0 * played,
        "{alarms} false alarms, {blurred} s"
    );
}
