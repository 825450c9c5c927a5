//! The probe of `tests/tools` reads the time code that this program draws: two implementations of one definition agree.

use screen_portal::media::{Exhausted, Format, Plane, Pool, Size, TimeCode};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// The header of an XWD file without a name and with no colours, as Xvfb writes it into its framebuffer file.
const HEADER_BYTES: u32 = 100;

fn header() -> Vec<u8> {
    let mut words = [0_u32; HEADER_BYTES as usize / 4];
    (words[0], words[1]) = (HEADER_BYTES, 7);
    (words[4], words[5]) = (WIDTH as u32, HEIGHT as u32);
    (words[11], words[12]) = (32, WIDTH as u32 * 4);
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A grey picture with the code, as a screen would show it.
fn screen(code: Option<TimeCode>) -> Vec<u8> {
    let mut pool = Pool::new(1);
    let (frame, ()) = pool
        .fill(Format::i420(Size::new(WIDTH as u32, HEIGHT as u32)), |frame| {
            frame.data_mut().fill(128);
            if let Some(code) = code {
                code.draw(frame);
            }
            Ok::<(), Exhausted>(())
        })
        .unwrap();
    let full = |luma: u8| (f64::from(luma.clamp(16, 235) - 16) * 255.0 / 219.0).round() as u8;
    frame.plane(Plane::Y).iter().flat_map(|&luma| [full(luma), full(luma), full(luma), 0]).collect()
}

/// The log's lines so far, without the last if it is half written.
fn wait_for(log: &Path, lines: usize) -> Vec<serde_json::Value> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let values: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if values.len() >= lines || Instant::now() > until {
            return values;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_probe_reads_our_time_code() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("probe");
    let source = Path::new("tests/tools/probe.c");
    match Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).status() {
        Err(error) => return println!("skipped: no C compiler ({error})"),
        Ok(status) => assert!(status.success()),
    }
    let (framebuffer, log) = (folder.path().join("screen"), folder.path().join("log"));
    let file = OpenOptions::new().create_new(true).write(true).open(&framebuffer).unwrap();
    file.write_all_at(&header(), 0).unwrap();
    let show = |code| file.write_all_at(&screen(code), HEADER_BYTES.into()).unwrap();
    show(None);
    let mut probe = Command::new(&program)
        .arg("--fb")
        .arg(&framebuffer)
        .args(["--x", "64", "--y", "16", "--block", "16", "--dur", "30", "--out"])
        .arg(&log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();

    let codes = [TimeCode::now(1), TimeCode::now(65_535), TimeCode { unix_ms: 0xA5A5_5A5A, number: 7 }];
    for (shown, code) in codes.into_iter().enumerate() {
        show(Some(code));
        let line = wait_for(&log, shown + 1)[shown].clone();
        assert_eq!(line["n"], code.number);
        assert_eq!(line["ms"].as_f64().unwrap() as u64 as u32, code.unix_ms);
        if shown == 0 {
            let latency_ms = line["lat"].as_f64().unwrap();
            assert!((0.0..5000.0).contains(&latency_ms), "{latency_ms}");
        }
    }
    show(None);
    let lines = wait_for(&log, 4);
    assert_eq!(lines[3]["gone"], 1, "{lines:?}");
    probe.kill().unwrap();
    probe.wait().unwrap();
}
