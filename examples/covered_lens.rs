//! Plays a film (Y4M on standard input) to the covered-lens detector: `covered_lens [FROM TO]`.
//!
//! With two moments in seconds, the lens is covered in between in this film. Prints a row: seconds of film | false alarms | seconds blurred outside the
//! cover | noticed after, s | seen again after, s | the least detail outside the cover. Ends with 1 if there was a false alarm, or a cover was not
//! noticed within a second, or not given back within a second and a half.
//!
//! `ffmpeg -v error -i film.mp4 -f yuv4mpegpipe -pix_fmt yuv420p - | cargo run --release --no-default-features --example covered_lens`.
//! `tests/measure/lens FILM…` does it with everything that a film can be made into.

use screen_portal::capture::lens::Lens;
use screen_portal::capture::y4m::Header;
use screen_portal::media::{Exhausted, Pool};
use std::io::BufReader;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How soon a cover is to be noticed, and its end, in seconds.
const NOTICED: f64 = 1.0;
const GIVEN_BACK: f64 = 1.5;

fn main() -> ExitCode {
    let moments: Vec<f64> =
        std::env::args().skip(1).map(|word| word.parse().expect("FROM and TO are seconds")).collect();
    let cover = match moments[..] {
        [] => None,
        [from, to] => Some((from, to)),
        _ => panic!("no moments, or two"),
    };
    let mut file = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let header = Header::read(&mut file).expect("standard input is Y4M");
    let period_s = header.period.expect("the film says its rate").as_secs_f64();
    let (mut lens, mut pool, mut text, start) = (Lens::default(), Pool::new(1), Vec::new(), Instant::now());
    let (mut pictures, mut least, mut was_covered) = (0u32, 1.0f32, false);
    // When the lens was taken for covered, from the first blurred picture to the first that is not, in seconds.
    let mut spans: Vec<(f64, f64)> = Vec::new();
    loop {
        let mut whole = false;
        let (frame, ()) = pool
            .fill(header.format, |frame| {
                whole = header.read_picture(&mut file, frame, &mut text).expect("the film can be read");
                Ok::<_, Exhausted>(())
            })
            .expect("nobody else holds a picture");
        if !whole {
            break;
        }
        let at = f64::from(pictures) * period_s;
        let is_covered = lens.is_covered(&frame, start + Duration::from_secs_f64(at));
        if is_covered && !was_covered {
            spans.push((at, at));
        }
        if let Some((_, to)) = spans.last_mut().filter(|_| is_covered || was_covered) {
            *to = at;
        }
        // What is left of the picture before it fades, and once it is back.
        if cover.is_none_or(|(from, to)| at < from || at > to + 1.0) {
            least = least.min(lens.sight().detail);
        }
        was_covered = is_covered;
        pictures += 1;
    }
    let seconds = f64::from(pictures) * period_s;
    let during = |span: &(f64, f64)| cover.is_some_and(|(from, to)| span.0 >= from && span.0 < to);
    let noticed = spans.iter().find(|span| during(span)).zip(cover);
    let after = noticed.map(|((found, ended), (from, to))| (found - from, ended - to));
    let alarms = spans.iter().filter(|span| !during(span)).count();
    let blurred = spans.iter().filter(|span| !during(span)).map(|(from, to)| to - from).sum::<f64>() + 0.0;
    let (noticed, back) = after.map_or(("–".into(), "–".into()), |(a, b)| (format!("{a:.2}"), format!("{b:.2}")));
    println!("{seconds:.0} | {alarms} | {blurred:.1} | {noticed} | {back} | {least:.3}");
    let in_time = after.map_or(cover.is_none(), |(noticed, back)| noticed <= NOTICED && back <= GIVEN_BACK);
    ExitCode::from(u8::from(alarms > 0 || !in_time))
}
