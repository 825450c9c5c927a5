//! The lens before whole scenes: how often it is taken for covered when it is not, and how soon when it is.
//!
//! `cargo test --release --no-default-features --lib lens -- --nocapture` prints the figures of `docs/measurements/privacy.md`.

use super::material::{self, CameraModel, Light, Random};
use super::{Lens, Sight};
use std::time::{Duration, Instant};

const FPS: f32 = 15.0;

/// When it was covered, in seconds, and how little was seen.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub spans: Vec<(f32, f32)>,
    pub least: Sight,
}

impl Found {
    pub fn seconds(&self) -> f32 {
        self.spans.iter().map(|(from, to)| to - from + 1.0 / FPS).sum()
    }
}

/// Plays a scene: what the light is at each second.
pub(super) fn play(seconds: f32, seed: u64, mut scene: impl FnMut(f32) -> Light) -> Found {
    let mut camera = CameraModel::settled_on(&scene(0.0), seed);
    let (mut lens, start) = (Lens::default(), Instant::now());
    let mut found = Found { least: Sight { detail: 1.0, brightness: 1.0 }, ..Found::default() };
    for n in 0..(seconds * FPS) as u32 {
        let at = n as f32 / FPS;
        let picture = camera.picture(&scene(at), 1.0 / FPS);
        let covered = lens.is_covered(&picture, start + Duration::from_secs_f32(at));
        if lens.sight().detail < found.least.detail {
            found.least = lens.sight();
        }
        match found.spans.last_mut() {
            _ if !covered => {}
            Some((_, end)) if at - *end < 1.5 / FPS => *end = at,
            _ => found.spans.push((at, at)),
        }
    }
    found
}

/// From 0 to 1 between two moments.
fn ramp(at: f32, from: f32, to: f32) -> f32 {
    ((at - from) / (to - from)).clamp(0.0, 1.0)
}

pub(super) fn dimmed(mut light: Light, factor: f32) -> Light {
    light.iter_mut().for_each(|light| *light *= factor);
    light
}

/// People who walk through the picture one after the other, near and far, in all clothes.
pub(super) fn passing(mut light: Light, at: f32, seed: u64) -> Light {
    for n in 0..(at.max(0.0) / 3.0) as u64 + 1 {
        let mut random = Random::new(seed * 1000 + n);
        let (start, takes) = (3.0 * n as f32, random.between(1.5, 6.0));
        let (height, clothes, pattern) =
            (random.between(0.5, 2.2), random.between(0.03, 0.8), random.between(0.0, 0.4));
        let part = (at - start) / takes;
        if (0.0..1.0).contains(&part) {
            let x = if n % 2 == 0 { part } else { 1.0 - part };
            material::person(&mut light, -0.4 + 1.8 * x, height, clothes, pattern);
        }
    }
    light
}

/// Out of focus and back within two seconds of each ten.
fn hunting(mut light: Light, at: f32, radius: f32) -> Light {
    let part = (at - 15.0).max(0.0) % 10.0 / 2.0;
    if part < 1.0 {
        material::out_of_focus(&mut light, (radius * (part * std::f32::consts::PI).sin()) as usize);
    }
    light
}

type Scene = Box<dyn Fn(f32) -> Light>;

/// About, seconds, the scene, and for how many seconds of it pictures may be blurred.
fn ordinary(seed: u64) -> Vec<(&'static str, f32, Scene, f32)> {
    let room = material::room(seed);
    let scene = |scene: fn(Light, f32, u64) -> Light| -> Scene {
        let room = room.clone();
        Box::new(move |at| scene(room.clone(), at, seed))
    };
    let street = material::street_at_night(seed);
    vec![
        ("an empty room", 20.0, scene(|room, _, _| room), 0.0),
        ("people passing", 60.0, scene(passing), 0.0),
        (
            "somebody stands close for ten seconds",
            30.0,
            scene(|mut room, at, _| {
                if (14.0..24.0).contains(&at) {
                    material::person(&mut room, 0.5, 2.4, 0.1, 0.1);
                }
                room
            }),
            0.0,
        ),
        (
            "the light goes off, the screen lights the room",
            30.0,
            scene(|room, at, _| dimmed(room, if at < 15.0 { 1.0 } else { 0.03 })),
            0.0,
        ),
        (
            "the light goes off, hardly any is left",
            30.0,
            scene(|room, at, _| dimmed(room, if at < 15.0 { 1.0 } else { 0.003 })),
            2.5,
        ),
        ("the light goes on", 30.0, scene(|room, at, _| dimmed(room, if at < 15.0 { 0.003 } else { 1.0 })), 0.0),
        (
            "a lamp that flickers",
            30.0,
            scene(|room, at, _| dimmed(room, if (at * 0.7).fract() < 0.3 { 0.05 } else { 1.0 })),
            0.0,
        ),
        (
            "dusk, a hundred times as fast",
            60.0,
            scene(|room, at, _| dimmed(room, 0.001f32.powf(ramp(at, 15.0, 65.0)))),
            0.0,
        ),
        (
            "fog comes within three minutes, and goes",
            280.0,
            scene(|mut room, at, _| {
                material::fog(&mut room, 0.8 * ramp(at, 15.0, 195.0) * (1.0 - ramp(at, 220.0, 270.0)));
                room
            }),
            0.0,
        ),
        (
            "the same, until nothing is to be seen",
            280.0,
            scene(|mut room, at, _| {
                material::fog(&mut room, 0.95 * ramp(at, 15.0, 195.0) * (1.0 - ramp(at, 220.0, 270.0)));
                room
            }),
            90.0,
        ),
        (
            "headlights for a second",
            30.0,
            scene(|mut room, at, _| {
                if (15.0..16.0).contains(&at) {
                    room.iter_mut().for_each(|light| *light += 4.0);
                }
                room
            }),
            1.2,
        ),
        (
            "a dark evening, the camera's noise, people passing",
            60.0,
            scene(|room, at, seed| dimmed(passing(room, at, seed), 0.01)),
            0.0,
        ),
        (
            "the exposure swings by two stops",
            45.0,
            scene(|room, at, _| dimmed(room, 4.0f32.powf((2.0 * at).sin()))),
            0.0,
        ),
        (
            "a camera that looks for its focus: points become a hundredth of the picture",
            45.0,
            scene(|room, at, _| hunting(room, at, 3.0)),
            0.0,
        ),
        (
            "the same, twice as far: little but colours is left three times",
            45.0,
            scene(|room, at, _| hunting(room, at, 6.0)),
            3.6,
        ),
        (
            "breath on the lens: most of the contrast gone at once",
            45.0,
            scene(|mut room, at, _| {
                if (15.0..30.0).contains(&at) {
                    material::fog(&mut room, 0.7);
                }
                room
            }),
            0.0,
        ),
        (
            "dark from the start, the light goes on",
            45.0,
            scene(|room, at, _| dimmed(room, if at < 20.0 { 0.0 } else { 1.0 })),
            0.0,
        ),
        ("a white wall", 30.0, Box::new(|_| material::wall()), 0.0),
        (
            "a white wall, the lamp goes off, the screen lights it; on again",
            45.0,
            Box::new(|at| dimmed(material::wall(), if (15.0..30.0).contains(&at) { 0.03 } else { 1.0 })),
            0.0,
        ),
        ("a white wall, people passing", 75.0, Box::new(move |at| passing(material::wall(), at - 15.0, seed)), 0.0),
        (
            "a street at night, people passing",
            60.0,
            Box::new(move |at| {
                let dark = passing(vec![1.0; street.len()], at, seed);
                street.iter().zip(dark).map(|(street, dark)| if dark == 1.0 { *street } else { 0.01 * dark }).collect()
            }),
            0.0,
        ),
    ]
}

#[test]
fn ordinary_scenes_are_not_blurred_for_long() {
    println!("scene | seconds | blurred, s | least detail");
    for seed in 1..=3 {
        for (about, seconds, scene, allowed) in ordinary(seed) {
            let found = play(seconds, seed, scene);
            println!(
                "{about}, {seed} | {seconds} | {:.1} {:?} | {:.4}",
                found.seconds(),
                found.spans,
                found.least.detail
            );
            assert!(found.seconds() <= allowed, "{about}, {seed}: {found:?}");
        }
    }
}

#[test]
fn a_covered_lens_is_noticed_and_given_back() {
    println!("cover | noticed after, s | given back after, s");
    let (on, off) = (15.0, 25.0);
    for seed in 1..=3 {
        let room = material::room(seed);
        let covers: [(&str, f32, f32); 5] = [
            ("a hand on the lens", 0.004, 0.05),
            ("a hand close to it", 0.15, 0.3),
            ("a face pressed against it", 0.03, 0.2),
            ("a phone, bright", 0.9, 0.3),
            ("a coat, slowly", 0.03, 1.5),
        ];
        for (about, value, takes) in covers {
            let found = play(32.0, seed, |at| {
                let mut light = passing(room.clone(), at, seed);
                let over = ramp(at, on, on + takes) * (1.0 - ramp(at, off, off + takes));
                material::close_to_the_lens(&mut light, over, value);
                light
            });
            // A single span, from soon after it is over the lens until soon after it begins to go.
            let [(from, to)] = found.spans[..] else { panic!("{about}, {seed}: {found:?}") };
            println!("{about}, {seed} | {:.2} | {:.2}", from - on - takes, to - off);
            assert!(from - on - takes < 0.9 && to > off && to - off < takes + 0.9, "{about}, {seed}: {found:?}");
        }
    }
}

#[test]
fn half_a_hand_is_no_cover() {
    let room = material::room(7);
    let found = play(30.0, 7, |at| {
        let mut light = room.clone();
        material::close_to_the_lens(&mut light, 0.5 * ramp(at, 15.0, 16.0), 0.2);
        light
    });
    assert!(found.spans.is_empty(), "{found:?}");
}

/// The decision: nothing can be recognised in the dark, blurred or not; so the words say "covered, or dark", and the first light ends it.
#[test]
fn darkness_at_once_counts_as_covered_until_there_is_light() {
    println!("all the light goes off at 15 s, and comes after | from, s | seen again after, s");
    for (seed, dark_s) in [(1, 10.0), (2, 60.0), (3, 120.0)] {
        let on = 15.0 + dark_s;
        let room = material::room(seed);
        let found = play(on + 15.0, seed, |at| dimmed(room.clone(), if (15.0..on).contains(&at) { 0.0 } else { 1.0 }));
        let [(from, to)] = found.spans[..] else { panic!("{found:?}") };
        println!("{dark_s} | {from:.2} | {:.2}", to - on);
        assert!((15.3..17.0).contains(&from) && (on..on + 1.5).contains(&to), "{found:?}");
    }
}
