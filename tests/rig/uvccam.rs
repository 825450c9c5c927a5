//! A USB webcam without hardware: it plugs a USB Video Class device into the kernel's virtual host
//! controller (vhci-hcd, the kernel side of USB/IP), so that the kernel's own uvcvideo driver makes
//! a /dev/videoN of it, with YUYV and (given JPEG frames) MJPEG, that can be unplugged and replugged.
//! Standard library only: `rustc --edition 2021 -O uvccam.rs`. Root, `modprobe vhci-hcd uvcvideo` first.
//!
//! uvccam [--size WxH]... [--fps N]... [--mjpeg FILE] [--port P] [--name NAME] [--do SECONDS:ACTION]...
//!   --size    offered sizes (default 640x480 and 1280x720); --fps offered rates (default 30 and 15)
//!   --mjpeg   a file of concatenated JPEGs ("ffmpeg -f mjpeg"), offered for the size that they have
//!   --do      after SECONDS: unplug | plug | stall (no more frames) | flow | quit
//! The same words are read as lines of standard input. Its YUYV frames show moving bars and, in the
//! first 16 rows, the frame's number as 32 squares of black and white, most significant bit first.
use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SYSFS: &str = "/sys/devices/platform/vhci_hcd.0";
/// One bulk transfer of uvcvideo: 32 packets of 512 bytes, one payload each.
const PAYLOAD: u32 = 16384;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Yuyv,
    Mjpeg,
}
struct Format {
    kind: Kind,
    sizes: Vec<(u16, u16)>,
}
struct Model {
    name: String,
    formats: Vec<Format>,
    rates: Vec<u32>,
    jpegs: Vec<Vec<u8>>,
}

impl Model {
    fn max_frame(&self, w: u16, h: u16) -> u32 {
        u32::from(w) * u32::from(h) * 2
    }
    fn device_descriptor(&self) -> Vec<u8> {
        vec![18, 1, 0, 2, 0xef, 2, 1, 64, 0x09, 0x12, 0x01, 0x00, 0, 1, 1, 2, 3, 1] // pid.codes 1209:0001
    }
    fn config_descriptor(&self) -> Vec<u8> {
        let le16 = |v: u16| v.to_le_bytes();
        // video control: camera terminal 1 -> processing unit 2 (brightness) -> output terminal 3
        let mut vc = vec![18, 0x24, 2, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        vc.extend([11, 0x24, 5, 2, 1, 0, 0, 2, 1, 0, 0]);
        vc.extend([9, 0x24, 3, 3, 0x01, 0x01, 0, 2, 0]);
        let total = 13 + vc.len() as u16;
        let mut vch = vec![13, 0x24, 1, 0x00, 0x01];
        vch.extend(le16(total));
        vch.extend(48_000_000u32.to_le_bytes());
        vch.extend([1, 1]);
        vch.extend(vc);
        // video streaming: formats and their frames
        let mut fm = vec![];
        for (i, f) in self.formats.iter().enumerate() {
            let (idx, n) = (i as u8 + 1, f.sizes.len() as u8);
            match f.kind {
                Kind::Yuyv => {
                    fm.extend([27, 0x24, 4, idx, n]);
                    fm.extend(*b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71");
                    fm.extend([16, 1, 0, 0, 0, 0]);
                }
                Kind::Mjpeg => fm.extend([11, 0x24, 6, idx, n, 1, 1, 0, 0, 0, 0]),
            }
            for (j, &(w, h)) in f.sizes.iter().enumerate() {
                let sub = if f.kind == Kind::Yuyv { 5 } else { 7 };
                fm.extend([26 + 4 * self.rates.len() as u8, 0x24, sub, j as u8 + 1, 0]);
                fm.extend(le16(w));
                fm.extend(le16(h));
                let bits = self.max_frame(w, h).saturating_mul(8 * 30);
                fm.extend(bits.to_le_bytes());
                fm.extend(bits.to_le_bytes());
                fm.extend(self.max_frame(w, h).to_le_bytes());
                fm.extend((10_000_000 / self.rates[0]).to_le_bytes());
                fm.push(self.rates.len() as u8);
                for r in &self.rates {
                    fm.extend((10_000_000 / r).to_le_bytes());
                }
            }
            fm.extend([6, 0x24, 0x0d, 1, 1, 4]);
        }
        let mut vs = vec![13 + self.formats.len() as u8, 0x24, 1, self.formats.len() as u8];
        vs.extend(le16((13 + self.formats.len() + fm.len()) as u16));
        vs.extend([0x81, 0, 3, 0, 0, 0, 1]);
        vs.extend(vec![0; self.formats.len()]);
        vs.extend(fm);
        let mut d = vec![9, 2, 0, 0, 2, 1, 0, 0x80, 250];
        d.extend([8, 0x0b, 0, 2, 0x0e, 3, 0, 2]);
        d.extend([9, 4, 0, 0, 0, 0x0e, 1, 0, 2]);
        d.extend(vch);
        d.extend([9, 4, 1, 0, 1, 0x0e, 2, 0, 0]);
        d.extend(vs);
        d.extend([7, 5, 0x81, 2, 0, 2, 0]);
        let n = le16(d.len() as u16);
        d[2..4].copy_from_slice(&n);
        d
    }
    fn string(&self, i: u8) -> Vec<u8> {
        if i == 0 {
            return vec![4, 3, 9, 4];
        }
        let s = match i {
            1 => "vm-run",
            2 => &self.name,
            _ => "0001",
        };
        let mut d: Vec<u8> = s.encode_utf16().flat_map(u16::to_le_bytes).collect();
        d.truncate(250);
        let mut v = vec![d.len() as u8 + 2, 3];
        v.append(&mut d);
        v
    }
    /// The streaming parameters that answer those asked for.
    fn negotiate(&self, asked: &[u8]) -> Probe {
        let at = |i: usize| asked.get(i).copied().unwrap_or(0);
        let format = (at(2).max(1) as usize).min(self.formats.len());
        let sizes = &self.formats[format - 1].sizes;
        let frame = (at(3).max(1) as usize).min(sizes.len());
        let want = u32::from_le_bytes([at(4), at(5), at(6), at(7)]);
        let interval = self.rates.iter().map(|r| 10_000_000 / r).min_by_key(|i| i.abs_diff(want)).unwrap();
        Probe { format, frame, interval: if want == 0 { 10_000_000 / self.rates[0] } else { interval } }
    }
    fn probe_bytes(&self, p: &Probe) -> Vec<u8> {
        let (w, h) = self.formats[p.format - 1].sizes[p.frame - 1];
        let mut v = vec![0, 0, p.format as u8, p.frame as u8];
        v.extend(p.interval.to_le_bytes());
        v.extend([0; 10]);
        v.extend(self.max_frame(w, h).to_le_bytes());
        v.extend(PAYLOAD.to_le_bytes());
        v
    }
}

#[derive(Clone, Copy)]
struct Probe {
    format: usize,
    frame: usize,
    interval: u32,
}

/// A plugged-in camera: one thread serves it, because a hand-over between threads may cost
/// milliseconds in a virtual machine, and a 1280x720 YUYV frame is 113 transfers.
struct Cam {
    sock: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// transfers of video that wait for data: sequence number and length
    urbs: VecDeque<(u32, u32)>,
    probe: Probe,
    brightness: i16,
    count: u32,
    fid: u8,
    frame: Vec<u8>,
    sent: usize,
    next: Instant,
}

impl Cam {
    fn reply(&mut self, cmd: u32, seq: u32, status: i32, len: u32) {
        for v in [cmd, seq, 0, 0, 0, status as u32, len, 0, 0, 0, 0, 0] {
            self.output.extend(v.to_be_bytes());
        }
    }

    /// Serves what came from the kernel; what is incomplete stays for the next time.
    fn requests(&mut self, model: &Model) {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while rest.len() >= 48 {
            let w = |i: usize| u32::from_be_bytes(rest[4 * i..4 * i + 4].try_into().unwrap());
            let (cmd, seq, dir, ep, len) = (w(0), w(1), w(3), w(4), w(6));
            if cmd == 2 {
                // unlink: the transfer is taken back if it is still waiting
                let (victim, n) = (w(5), self.urbs.len());
                self.urbs.retain(|u| u.0 != victim);
                let status = if self.urbs.len() < n { -104 } else { 0 };
                self.reply(4, seq, status, 0);
                rest = &rest[48..];
                continue;
            }
            let extra = if dir == 0 { len as usize } else { 0 };
            if rest.len() < 48 + extra {
                break;
            }
            let (setup, data): ([u8; 8], _) = (rest[40..48].try_into().unwrap(), &rest[48..48 + extra]);
            rest = &rest[48 + extra..];
            if ep == 1 {
                self.urbs.push_back((seq, len));
                continue;
            }
            match self.control(model, setup, data) {
                Some(mut a) if dir == 1 => {
                    a.truncate(len as usize);
                    self.reply(3, seq, 0, a.len() as u32);
                    self.output.extend(a);
                }
                Some(_) => self.reply(3, seq, 0, len),
                None => self.reply(3, seq, -32, 0), // stall
            }
        }
        self.input = rest.to_vec();
    }

    fn control(&mut self, model: &Model, setup: [u8; 8], data: &[u8]) -> Option<Vec<u8>> {
        let (val, idx) = (u16::from_le_bytes([setup[2], setup[3]]), u16::from_le_bytes([setup[4], setup[5]]));
        match (setup[0], setup[1]) {
            (0x80, 6) => match val >> 8 {
                1 => Some(model.device_descriptor()),
                2 => Some(model.config_descriptor()),
                3 => Some(model.string(val as u8)),
                6 => Some(vec![10, 6, 0, 2, 0xef, 2, 1, 64, 1, 0]),
                _ => None,
            },
            (0x80, 8) => Some(vec![1]),
            (0x80..=0x82, 0) => Some(vec![0, 0]),
            (0x81, 10) => Some(vec![0]),
            (0x00..=0x02, 1 | 3 | 9 | 11) => Some(vec![]),
            // class requests of the streaming interface: probe and commit
            (0x21, 1) if idx & 0xff == 1 => {
                self.probe = model.negotiate(data);
                Some(vec![])
            }
            (0xa1, 0x81..=0x84 | 0x87) if idx & 0xff == 1 => Some(model.probe_bytes(&self.probe)),
            (0xa1, 0x85) => Some(vec![if idx & 0xff == 1 { 26 } else { 2 }, 0]),
            (0xa1, 0x86) => Some(vec![3]),
            // brightness, -64 to 64
            (0x21, 1) if idx >> 8 == 2 && data.len() >= 2 => {
                self.brightness = i16::from_le_bytes([data[0], data[1]]);
                Some(vec![])
            }
            (0xa1, r @ 0x81..=0x87) if idx >> 8 == 2 => {
                let v = match r {
                    0x81 => self.brightness,
                    0x82 => -64,
                    0x83 => 64,
                    0x84 => 1,
                    _ => 0,
                };
                Some(v.to_le_bytes().to_vec())
            }
            _ => None,
        }
    }

    /// Begins a frame when its time has come and somebody streams, and fills the waiting transfers.
    fn video(&mut self, model: &Model, stalled: bool) {
        if self.sent == self.frame.len() {
            let now = Instant::now();
            if self.urbs.is_empty() || now < self.next {
                return;
            }
            let period = Duration::from_nanos(u64::from(self.probe.interval) * 100);
            if self.next + period * 4 < now {
                self.next = now;
            }
            self.next += period;
            if stalled {
                return;
            }
            let format = &model.formats[self.probe.format - 1];
            let (w, h) = format.sizes[self.probe.frame - 1];
            match format.kind {
                Kind::Yuyv => paint(&mut self.frame, w.into(), h.into(), self.count, self.brightness),
                Kind::Mjpeg => self.frame.clone_from(&model.jpegs[self.count as usize % model.jpegs.len()]),
            }
            self.count += 1;
            self.sent = 0;
            self.fid ^= 1;
        }
        while self.sent < self.frame.len() {
            let Some((seq, len)) = self.urbs.pop_front() else { return };
            let take = (self.frame.len() - self.sent).min(len.min(PAYLOAD) as usize - 2);
            let end = self.sent + take == self.frame.len();
            self.reply(3, seq, 0, take as u32 + 2);
            self.output.extend([2, 0x80 | self.fid | if end { 2 } else { 0 }]);
            self.output.extend_from_slice(&self.frame[self.sent..self.sent + take]);
            self.sent += take;
        }
    }

    /// One turn: everything that can be done now, then a wait for the kernel of a frame's time at most.
    fn turn(&mut self, model: &Model, stalled: bool, buf: &mut [u8]) -> std::io::Result<()> {
        self.video(model, stalled);
        if !self.output.is_empty() {
            self.sock.write_all(&self.output)?;
            self.output.clear();
        }
        let wait = if self.urbs.is_empty() {
            Duration::from_millis(50)
        } else {
            self.next.saturating_duration_since(Instant::now())
        };
        self.sock.set_read_timeout(Some(wait.clamp(Duration::from_micros(100), Duration::from_millis(50))))?;
        match self.sock.read(buf) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.input.extend_from_slice(&buf[..n]),
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut | std::io::ErrorKind::Interrupted
                ) =>
            {
                return Ok(());
            }
            Err(e) => return Err(e),
        }
        self.requests(model);
        Ok(())
    }
}

/// Moving bars with the frame's number on top.
fn paint(buf: &mut Vec<u8>, w: usize, h: usize, n: u32, brightness: i16) {
    let mut row = Vec::with_capacity(w * 2);
    for x in 0..w {
        let bar = ((x + 4 * n as usize) / (w / 8)) % 8;
        let y = (235 - 27 * bar as i32 + i32::from(brightness)).clamp(16, 235) as u8;
        let chroma = [128u8, 44, 156, 72, 184, 100, 212, 128][bar];
        row.push(y);
        row.push(if x % 2 == 0 { chroma } else { 255 - chroma });
    }
    let mut top = row.clone();
    let side = (w / 32).min(16);
    for bit in 0..32 {
        let y = if n >> (31 - bit) & 1 == 1 { 235 } else { 16 };
        for x in bit * side..(bit + 1) * side {
            top[2 * x] = y;
            top[2 * x + 1] = 128;
        }
    }
    buf.clear();
    for y in 0..h {
        buf.extend_from_slice(if y < side { &top } else { &row });
    }
}

fn plug(model: &Model, port: u32) -> std::io::Result<Cam> {
    let (ours, kernels) = UnixStream::pair()?;
    // the kernel takes the socket's other end over
    std::fs::write(format!("{SYSFS}/attach"), format!("{port} {} {} 3", kernels.as_raw_fd(), 0x10000 + port + 1))?;
    Ok(Cam {
        sock: ours,
        input: vec![],
        output: vec![],
        urbs: VecDeque::new(),
        probe: model.negotiate(&[]),
        brightness: 0,
        count: 0,
        fid: 0,
        frame: vec![],
        sent: 0,
        next: Instant::now(),
    })
}

/// Where each JPEG of a stream of them begins and ends.
fn split_jpegs(d: &[u8]) -> Vec<Vec<u8>> {
    let (mut v, mut start) = (vec![], 0);
    for i in 0..d.len().saturating_sub(1) {
        if d[i] == 0xff && d[i + 1] == 0xd9 {
            v.push(d[start..i + 2].to_vec());
            start = i + 2;
        }
    }
    v
}
fn jpeg_size(d: &[u8]) -> Option<(u16, u16)> {
    let mut i = 2;
    while i + 9 < d.len() {
        let m = d[i + 1];
        if (0xc0..=0xc2).contains(&m) {
            return Some((u16::from_be_bytes([d[i + 7], d[i + 8]]), u16::from_be_bytes([d[i + 5], d[i + 6]])));
        }
        i += 2 + usize::from(u16::from_be_bytes([d[i + 2], d[i + 3]]));
    }
    None
}

fn main() {
    let (mut sizes, mut rates, mut jpegs, mut port, mut name, mut todo) =
        (vec![], vec![], vec![], 0u32, "Test Webcam".to_string(), vec![]);
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        let v = args.next().unwrap_or_else(|| panic!("{a} wants a value"));
        match a.as_str() {
            "--size" => {
                let (w, h) = v.split_once('x').expect("WxH");
                sizes.push((w.parse().unwrap(), h.parse().unwrap()));
            }
            "--fps" => rates.push(v.parse().unwrap()),
            "--mjpeg" => jpegs = split_jpegs(&std::fs::read(&v).unwrap_or_else(|e| panic!("{v}: {e}"))),
            "--port" => port = v.parse().unwrap(),
            "--name" => name = v,
            "--do" => {
                let (s, w) = v.split_once(':').expect("SECONDS:ACTION");
                todo.push((s.parse::<f64>().unwrap(), w.to_string()));
            }
            _ => panic!("unknown option {a}"),
        }
    }
    if sizes.is_empty() {
        sizes = vec![(640, 480), (1280, 720)];
    }
    if rates.is_empty() {
        rates = vec![30, 15];
    }
    let mut formats = vec![Format { kind: Kind::Yuyv, sizes }];
    if let Some(s) = jpegs.first().and_then(|j| jpeg_size(j)) {
        formats.push(Format { kind: Kind::Mjpeg, sizes: vec![s] });
    }
    let model = Model { name, formats, rates, jpegs };
    let (tx, rx) = mpsc::channel::<String>();
    let begin = Instant::now();
    for (s, w) in todo {
        let tx = tx.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(s));
            let _ = tx.send(w);
        });
    }
    let lines = tx.clone();
    std::thread::spawn(move || {
        for l in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines.send(l.trim().into());
        }
    });
    let _ = tx.send("plug".into());
    let (mut cam, mut stalled, mut buf) = (None::<Cam>, false, vec![0; 65536]);
    loop {
        let word = if cam.is_some() { rx.try_recv().unwrap_or_default() } else { rx.recv().unwrap() };
        if !word.is_empty() {
            eprintln!("uvccam: {:.2} s: {word}", begin.elapsed().as_secs_f64());
        }
        match word.as_str() {
            "plug" if cam.is_none() => match plug(&model, port) {
                Ok(c) => cam = Some(c),
                Err(e) => {
                    eprintln!("uvccam: cannot plug into {SYSFS}: {e} (modprobe vhci-hcd?)");
                    std::process::exit(1);
                }
            },
            "unplug" | "quit" => {
                if cam.take().is_some() {
                    let _ = std::fs::write(format!("{SYSFS}/detach"), port.to_string());
                }
                if word == "quit" {
                    break;
                }
            }
            "stall" => stalled = true,
            "flow" => stalled = false,
            _ => {}
        }
        if let Some(c) = &mut cam {
            if let Err(e) = c.turn(&model, stalled, &mut buf) {
                eprintln!("uvccam: the kernel let go of the camera: {e}");
                cam = None;
            }
        }
    }
}
