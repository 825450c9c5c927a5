//! Plays a film (Y4M on standard input) to the covered-lens detector, and prints when it was taken for covered.
//!
//! `ffmpeg -v error -i film.mp4 -f yuv4mpegpipe -pix_fmt yuv420p - | cargo run --release --no-default-features --example covered_lens`.
//! `tests/measure/lens FILM` does it with everything that a film can be made into.

use screen_portal::capture::lens::Lens;
use screen_portal::capture::y4m::Header;
use screen_portal::media::{Exhausted, Pool};
use std::io::BufReader;
use std::time::{Duration, Instant};

fn main() {
    let mut file = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let header = Header::read(&mut file).expect("standard input is Y4M");
    let period_s = header.period.expect("the film says its rate").as_secs_f64();
    let (mut lens, mut pool, mut text, start) = (Lens::default(), Pool::new(1), Vec::new(), Instant::now());
    let (mut pictures, mut covered, mut least, mut spans) = (0u32, 0u32, 1.0f32, Vec::new());
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
        match (is_covered, spans.last_mut()) {
            (true, Some((_, to, true))) => *to = at,
            (true, _) => spans.push((at, at, true)),
            (false, Some((_, _, open))) => *open = false,
            (false, None) => {}
        }
        least = least.min(lens.sight().detail);
        covered += u32::from(is_covered);
        pictures += 1;
    }
    let seconds = |count: u32| f64::from(count) * period_s;
    print!("{:.0} s, blurred for {:.1} s, least detail {least:.3}", seconds(pictures), seconds(covered));
    for (from, to, _) in spans {
        print!(", {from:.2} to {to:.2}");
    }
    println!();
}
